// Times one merge in memory. usage: bench_merge BOXES.txt METHOD METRIC LIMIT ROUNDS > MERGED.txt
// Lines of BOXES and MERGED: x0 y0 x1 y1 score class; MERGED opens with the milliseconds of each round.
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "core/error.h"
#include "core/timing.h"
#include "tiling/merge/merge.h"

int main(int argc, char** argv) {
  using namespace cytodet;
  if (argc != 6) {
    std::fputs("usage: bench_merge BOXES.txt METHOD METRIC LIMIT ROUNDS\n", stderr);
    return 2;
  }
  std::vector<TileDetection> boxes;
  std::ifstream in(argv[1]);
  for (Detection d; in >> d.box.x0 >> d.box.y0 >> d.box.x1 >> d.box.y1 >> d.score >> d.category;) boxes.push_back({d, 0, false});
  try {
    MergeSettings settings;
    settings.method = cytodet::merge_method_named(argv[2]);
    settings.metric = merge_metric_named(argv[3]);
    settings.iou = std::atof(argv[4]);
    Detections merged;
    for (int i = 0; i < std::atoi(argv[5]); ++i) {
      std::vector<TileDetection> copy = boxes;
      Stopwatch watch;
      merged = merge(std::move(copy), settings);
      std::printf("%.4f ", watch.ms());
    }
    std::printf("\n");
    for (const Detection& d : merged)
      std::printf("%.17g %.17g %.17g %.17g %.9g %d\n", d.box.x0, d.box.y0, d.box.x1, d.box.y1, static_cast<double>(d.score),
                  d.category);
  } catch (const Error& e) {
    std::fprintf(stderr, "bench_merge: error: %s\n", e.what());
    return 1;
  }
}
