#include "fuzz/driver.h"
#include "quant/calibration_log.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/ranges"}; }

// ranges.json, or else a calibration log. What is written of a log reads back the same.
void fuzz_one(std::string_view bytes) {
  if (bytes.starts_with("{")) {
    cytodet::parse_ranges(bytes, "ranges");
    return;
  }
  cytodet::CalibrationLog log = cytodet::parse_log(bytes);
  std::string text;
  for (const cytodet::LogRecord& r : log.records) text += cytodet::to_text(r) + "\n";
  cytodet::CalibrationLog again = cytodet::parse_log(text);
  if (again.records != log.records || again.rejected != 0) std::abort();
  cytodet::ranges_of(log, "log");
}
