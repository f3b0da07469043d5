// Results of either form, merged by every method.
#include "eval/results.h"
#include "fuzz/driver.h"
#include "tests/paths.h"
#include "tiling/merge/merge.h"

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/tests/data/fuzz/detections", cytodet::source_dir() + "/tests/data/fuzz/merge"};
}

void fuzz_one(std::string_view bytes) {
  std::vector<cytodet::TileDetection> all;
  cytodet::parse_results(bytes, "results", [&](const cytodet::AnyResult& r) {
    all.push_back({{r.box, static_cast<int>(r.category_id), static_cast<float>(r.score)}, r.tile ? 1 : 0, r.tile.has_value()});
  });
  for (const cytodet::MergeMethodEntry& m : cytodet::merge_methods()) {
    cytodet::MergeSettings s;
    s.method = m.method;
    if (cytodet::merge(all, s).size() > all.size()) std::abort();
  }
}
