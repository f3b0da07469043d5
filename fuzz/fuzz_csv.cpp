#include "fuzz/driver.h"
#include "pipeline/inputs/csv_table.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/csv"}; }

// Cells never hold more than the text.
void fuzz_one(std::string_view bytes) {
  size_t held = 0;
  for (const cytodet::CsvRow& row : cytodet::parse_csv(bytes, "table"))
    for (const std::string& cell : row.cells) held += cell.size();
  if (held > bytes.size()) std::abort();
}
