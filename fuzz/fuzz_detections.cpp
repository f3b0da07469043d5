#include "eval/coco.h"
#include "fuzz/driver.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/detections"}; }

void fuzz_one(std::string_view bytes) {
  static const cytodet::GroundTruth truth =
      cytodet::read_ground_truth(cytodet::source_dir() + "/tests/data/fuzz/truth/small.json");
  cytodet::ScoreOptions options;
  options.threads = 1;
  cytodet::to_text(cytodet::score(truth, cytodet::parse_detections(bytes, "detections", truth), options));
}
