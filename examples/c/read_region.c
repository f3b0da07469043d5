/* What a slide holds, and the 256 x 256 pixels in its middle as a PPM file: read_region_c SLIDE OUT.ppm */
#include <stdio.h>

#include "cytodet/c.h"

static int fail(cytodet_error* error) {
  int status = (int)cytodet_error_status(error);
  fprintf(stderr, "%s\n", cytodet_error_message(error));
  cytodet_error_free(error);
  return status;
}

int main(int argc, char** argv) {
  static uint8_t rgb[256 * 256 * 3];
  if (argc != 3) return 2;
  cytodet_error* error = NULL;
  cytodet_slide* slide = cytodet_slide_open(argv[1], NULL, &error);
  if (!slide) return fail(error);
  int64_t width = cytodet_slide_width(slide), height = cytodet_slide_height(slide);
  printf("%s, %ld x %ld pixels, %d levels, %g micrometres per pixel\n", cytodet_slide_format(slide), (long)width, (long)height,
         (int)cytodet_slide_level_count(slide), cytodet_slide_mpp_x(slide));
  if (cytodet_slide_read(slide, 0, width / 2 - 128, height / 2 - 128, 256, 256, rgb, 0, sizeof rgb, &error) != CYTODET_OK)
    return fail(error);
  cytodet_slide_free(slide);

  FILE* out = fopen(argv[2], "wb");
  if (!out) return 1;
  fprintf(out, "P6 256 256 255\n");
  fwrite(rgb, 1, sizeof rgb, out);
  return fclose(out) == 0 ? 0 : 1;
}
