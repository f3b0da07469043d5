#include "eval/results.h"
#include "fuzz/driver.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/detections"}; }

void fuzz_one(std::string_view bytes) {
  double sum = 0;
  cytodet::parse_coco_results(bytes, "results", [&](const cytodet::CocoResult& r) { sum += r.box.area(); });
  if (!(sum >= 0)) std::abort();
}
