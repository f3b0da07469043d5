// Encodings, lines, and JSON beyond the standard.
#include "core/json_repair.h"
#include "core/settings.h"
#include "core/stray_text.h"
#include "core/text_decode.h"
#include "fuzz/driver.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/tests/data/fuzz/text", cytodet::source_dir() + "/tests/data/fuzz/roi"};
}

void fuzz_one(std::string_view bytes) {
  const std::string text = cytodet::decode_text(std::string(bytes), "fuzz");
  size_t length = 0;
  for (std::string_view line : cytodet::lines_of_text(text)) length += line.size();
  if (length > text.size()) std::abort();
  // What was repaired needs no second repair.
  if (const auto repaired = cytodet::repair_json(text))
    if (repaired->original(repaired->text.size()) > text.size()) std::abort();
  cytodet::stray_text(bytes);
  cytodet::parse_json(bytes, "fuzz");
}
