/* Cells in pixels that lie in memory, here those of a file: detect_pixels_c MODEL FILE */
#include <stdio.h>
#include <stdlib.h>

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
  cytodet_slide* slide = cytodet_slide_open(argv[2], NULL, &error);
  if (!slide) return fail(error);
  int32_t width = (int32_t)cytodet_slide_width(slide), height = (int32_t)cytodet_slide_height(slide);
  size_t size = (size_t)width * (size_t)height * 3;
  uint8_t* rgb = malloc(size);
  if (!rgb) return 1;
  if (cytodet_slide_read(slide, 0, 0, 0, width, height, rgb, 0, size, &error) != CYTODET_OK) return fail(error);

  cytodet_image image = {0}; /* what is not set is 0: rows without padding, micrometres not known, no name */
  image.struct_size = sizeof image;
  image.data = rgb;
  image.width = width;
  image.height = height;
  image.format = CYTODET_RGB8;
  cytodet_model* model = cytodet_model_open(argv[1], NULL, &error);
  if (!model) return fail(error);
  cytodet_results* results = cytodet_detect_images(model, &image, 1, NULL, NULL, &error);
  if (!results) return fail(error);
  const cytodet_result* result = cytodet_results_at(results, 0);
  const cytodet_detection* d = cytodet_result_detections(result);
  int cells = 0;
  for (size_t k = 0; k < cytodet_result_detection_count(result); ++k) cells += d[k].score > 0.5f;
  printf("%d cells\n", cells);

  cytodet_results_free(results);
  cytodet_model_free(model);
  cytodet_slide_free(slide);
  free(rgb);
  return 0;
}
