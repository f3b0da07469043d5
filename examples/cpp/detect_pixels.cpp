// Cells in pixels that lie in memory, here those of a file: detect_pixels MODEL FILE
#include <cstdio>

#include "cytodet/cytodet.h"

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  const cytodet::Slide slide(argv[2]);
  const cytodet::Image image = slide.read(0, 0, 0, static_cast<int>(slide.width()), static_cast<int>(slide.height()));

  // RGB without padding between rows; BGR, gray and a stride are further arguments.
  cytodet::ImageView pixels(image.rgb.data(), image.width, image.height);
  pixels.mpp_x = slide.mpp_x();  // micrometres per pixel, where they are known
  const cytodet::Model model(argv[1]);
  const cytodet::Result result = model.detect_image(pixels);
  int cells = 0;
  for (const cytodet::Detection& d : result.detections) cells += d.score > 0.5f;
  std::printf("%d cells\n", cells);
  return 0;
} catch (const cytodet::Error& e) {
  std::fprintf(stderr, "%s: %s (%s)\n", e.where().c_str(), e.problem().c_str(), e.advice().c_str());
  return static_cast<int>(e.kind());
}
