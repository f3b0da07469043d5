#include <cstdlib>

#include "core/error.h"
#include "core/settings.h"
#include "fuzz/driver.h"
#include "pipeline/amct/amct_config.h"
#include "quant/record.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/amct"}; }

// AMCT's records, and its configurations in both forms. What is written of records reads back the same.
void fuzz_one(std::string_view bytes) {
  if (bytes.starts_with("{")) {
    const cytodet::AmctPlan plan = cytodet::parse_amct_json(bytes, "config.json");
    const std::string text = cytodet::json_line(cytodet::amct_json(plan));
    if (cytodet::parse_amct_json(text, "again").layers.size() > plan.layers.size()) std::abort();
    return;
  }
  if (bytes.starts_with("record")) {
    const std::string text = cytodet::records_text(cytodet::parse_records(bytes));
    if (cytodet::records_text(cytodet::parse_records(text)) != text) std::abort();
    return;
  }
  cytodet::parse_amct_cfg(bytes);
}
