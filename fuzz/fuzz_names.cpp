// Names of classes as exporters write them into a model's metadata.
#include <cstdlib>

#include "fuzz/driver.h"
#include "models/recognition_parts.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/names"}; }

void fuzz_one(std::string_view bytes) {
  const std::string text(bytes);
  size_t all = 0;
  for (const std::string& name : cytodet::models::python_names(text)) all += name.size();
  if (all > text.size()) std::abort();  // names are parts of the text
}
