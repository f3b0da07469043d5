#include <cmath>
#include <cstdlib>

#include "core/settings.h"
#include "eval/coco.h"
#include "eval/screening_report.h"
#include "fuzz/driver.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/detections"}; }

void fuzz_one(std::string_view bytes) {
  static const cytodet::GroundTruth truth =
      cytodet::read_ground_truth(cytodet::source_dir() + "/tests/data/fuzz/truth/small.json");
  cytodet::ScoreOptions options;
  options.threads = 1;
  const cytodet::DetectionSet set = cytodet::parse_detections(bytes, "detections", truth);
  const cytodet::Scores scores = cytodet::score(truth, set, options);
  cytodet::to_text(scores);
  cytodet::ScreeningOptions screening;
  screening.bootstrap = {.resamples = 4, .threads = 1};
  screening.operating_scores.assign(truth.categories.size(), 0.4);
  const cytodet::Screening s = cytodet::screen(truth, set, screening);
  cytodet::to_json(s);
  if (scores.stats[0] >= 0 && std::abs(s.ap.value - scores.stats[0]) > 1e-9) std::abort();
}
