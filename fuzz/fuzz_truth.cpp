#include "eval/coco.h"
#include "fuzz/driver.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/truth"}; }

void fuzz_one(std::string_view bytes) {
  cytodet::GroundTruth truth = cytodet::parse_ground_truth(bytes, "truth");
  cytodet::DetectionSet none;
  cytodet::ScoreOptions options;
  options.threads = 1;
  cytodet::to_text(cytodet::score(truth, none, options));
}
