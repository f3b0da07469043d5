/* COCO's figures of a model on a folder of images: evaluate_c MODEL TRUTH.json FOLDER */
#include <stdio.h>

#include "cytodet/c.h"

static int fail(cytodet_error* error) {
  int status = (int)cytodet_error_status(error);
  fprintf(stderr, "%s\n", cytodet_error_message(error));
  cytodet_error_free(error);
  return status;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  cytodet_error* error = NULL;
  cytodet_model* model = cytodet_model_open(argv[1], NULL, &error);
  if (!model) return fail(error);
  cytodet_ground_truth* truth = cytodet_ground_truth_open(argv[2], &error);
  if (!truth) return fail(error);
  const char* inputs[] = {argv[3]};
  cytodet_results* results = cytodet_detect_files(model, inputs, 1, NULL, NULL, &error);
  if (!results) return fail(error);
  cytodet_scores* scores = cytodet_evaluate_results(truth, results, NULL, &error);
  if (!scores) return fail(error);

  for (size_t i = 0; i < cytodet_scores_count(scores); ++i)
    printf("%s %.4f\n", cytodet_scores_name(scores, i), cytodet_scores_value(scores, i));
  for (size_t i = 0; i < cytodet_scores_class_count(scores); ++i)
    printf("AP of %s %.4f\n", cytodet_scores_class_name(scores, i), cytodet_scores_class_ap(scores, i));

  cytodet_scores_free(scores);
  cytodet_results_free(results);
  cytodet_ground_truth_free(truth);
  cytodet_model_free(model);
  return 0;
}
