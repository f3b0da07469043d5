/* Cells of one image or slide file: detect_file_c MODEL FILE */
#include <stdio.h>

#include "cytodet/c.h"

static int fail(cytodet_error* error) {
  int status = (int)cytodet_error_status(error);
  fprintf(stderr, "%s\n", cytodet_error_message(error));
  cytodet_error_free(error);
  return status;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  cytodet_error* error = NULL;
  cytodet_model* model = cytodet_model_open(argv[1], NULL, &error);
  if (!model) return fail(error);

  const char* inputs[] = {argv[2]};
  cytodet_settings* settings = cytodet_settings_create();
  cytodet_settings_set_number(settings, "score", 0.5);
  cytodet_results* results = cytodet_detect_files(model, inputs, 1, settings, NULL, &error);
  if (!results) return fail(error); /* the system frees the rest */

  for (size_t i = 0; i < cytodet_results_count(results); ++i) {
    const cytodet_result* result = cytodet_results_at(results, i);
    const cytodet_detection* d = cytodet_result_detections(result);
    size_t count = cytodet_result_detection_count(result);
    if (cytodet_result_error(result)) fprintf(stderr, "%s\n", cytodet_error_message(cytodet_result_error(result)));
    for (size_t k = 0; k < count; ++k)
      printf("%s %.3f %.1f %.1f %.1f %.1f\n", cytodet_results_class_name(results, (size_t)d[k].class_index), (double)d[k].score,
             d[k].x0, d[k].y0, d[k].x1, d[k].y1);
    printf("%lu cells\n", (unsigned long)count);
  }
  cytodet_results_free(results);
  cytodet_settings_free(settings);
  cytodet_model_free(model);
  return 0;
}
