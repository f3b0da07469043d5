// Cells of one image or slide file: detect_file MODEL FILE
#include <cstdio>

#include "cytodet/cytodet.h"

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  const cytodet::Model model(argv[1]);
  cytodet::DetectOptions options;
  options.score = 0.5;  // detections with a lower score are left out
  const cytodet::Result result = model.detect_file(argv[2], options);
  for (const cytodet::Detection& d : result.detections)
    std::printf("%s %.3f %.1f %.1f %.1f %.1f\n", d.class_name.c_str(), static_cast<double>(d.score), d.box.x0, d.box.y0, d.box.x1,
                d.box.y1);
  std::printf("%zu cells\n", result.detections.size());
  return 0;
} catch (const cytodet::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return static_cast<int>(e.kind());
}
