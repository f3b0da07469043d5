#include <cstdlib>

#include "core/json_edit.h"
#include "core/settings.h"
#include "fuzz/driver.h"
#include "models/model_file.h"
#include "pipeline/config/run_config.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/configs", cytodet::source_dir() + "/models/efficientdet/efficientdet_d0_blood.json"};
}

// Run configs and model files are read by the same code.
void fuzz_one(std::string_view bytes) {
  cytodet::Json json = cytodet::parse_json(bytes, "config");
  if (json.is_object()) {  // one key is set, and nothing else is changed
    cytodet::Json wanted = json;
    wanted["operating_scores"] = 1;
    const std::string text = cytodet::with_json_key(bytes, "operating_scores", "1", "config");
    if (cytodet::parse_json(text, "edited") != wanted) std::abort();
  }
  try {
    cytodet::RunConfig config;
    cytodet::read_settings(json, config, "config");
    cytodet::check(config.detect);
  } catch (const cytodet::Error&) {
    cytodet::parse_model_file(json, "model");
  }
}
