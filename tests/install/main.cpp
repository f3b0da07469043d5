// Another program that links the installed library: detects on one image and prints the number of cells.
#include <cstdio>

#include "core/error.h"
#include "pipeline/detect/image_pipeline.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    cytodet::Detector detector(cytodet::load_model(argv[1]), {});
    cytodet::DetectReport report = cytodet::detect(detector, {argv[2]}, {}, {}, true);
    int cells = 0;
    for (const cytodet::Detection& d : report.pictures[0].detections) cells += d.score > 0.5f;
    std::printf("%d cells\n", cells);
    return report.failed();
  } catch (const cytodet::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
