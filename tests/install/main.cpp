// Another program that links the installed library: detects on one image and prints the number of cells.
#include <cstdio>

#include "core/error.h"
#include "pipeline/detect/image_pipeline.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    cytodet::pipeline::Detector detector(cytodet::pipeline::load_model(argv[1]), {});
    cytodet::pipeline::DetectReport report =
        cytodet::pipeline::detect(detector, {argv[2]}, {}, cytodet::pipeline::DetectHooks{});
    int cells = 0;
    for (const cytodet::core::Detection& d : report.pictures[0].detections) cells += d.score > 0.5f;
    std::printf("%d cells\n", cells);
    return report.failed();
  } catch (const cytodet::core::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
