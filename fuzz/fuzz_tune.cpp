// What tune reads: its config, its journal, its cache of raw detections.
#include "core/settings.h"
#include "fuzz/driver.h"
#include "pipeline/tune/detection_cache.h"
#include "pipeline/tune/journal.h"
#include "pipeline/tune/search_space.h"
#include "tests/paths.h"

void fuzz_one(std::string_view bytes) {
  if (bytes.starts_with("cytodet raw")) {
    cytodet::parse_raw(bytes, "fuzz", "0123456789abcdef");
    return;
  }
  const cytodet::Json json = cytodet::parse_json(bytes, "fuzz");
  if (json.is_object() && json.contains("seconds"))
    cytodet::TuneJournal("").read(json, "fuzz");
  else
    cytodet::parse_tune_space(json, "fuzz.json");
}

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/configs", cytodet::source_dir() + "/tests/data/fuzz/tune"};
}
