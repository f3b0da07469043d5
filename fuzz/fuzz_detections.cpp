#include "eval/coco.h"
#include "fuzz/driver.h"

std::vector<std::string> fuzz_seeds() { return {CYTODET_SOURCE_DIR "/tests/data/fuzz/detections"}; }

void fuzz_one(std::string_view bytes) {
  static const cytodet::Truth truth = cytodet::read_truth(CYTODET_SOURCE_DIR "/tests/data/fuzz/truth/small.json");
  cytodet::ScoreOptions options;
  options.threads = 1;
  cytodet::to_text(cytodet::score(truth, cytodet::parse_detections(bytes, "detections", truth), options));
}
