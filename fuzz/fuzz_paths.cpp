#include <algorithm>

#include "core/path_match.h"
#include "fuzz/driver.h"
#include "tests/paths.h"

std::vector<std::string> fuzz_seeds() { return {cytodet::source_dir() + "/tests/data/fuzz/paths"}; }

// Lines: names, an empty line, paths. What is found agrees in a component and is among the names; every name finds itself or its
// like.
void fuzz_one(std::string_view bytes) {
  std::vector<std::string> names, paths;
  std::vector<std::string>* list = &names;
  for (size_t at = 0; at < bytes.size() && names.size() + paths.size() < 2000;) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    if (end == at)
      list = &paths;
    else
      list->emplace_back(bytes.substr(at, end - at));
    at = end + 1;
  }
  const cytodet::PathIndex index(names);
  for (const std::string& p : paths)
    for (const int i : index.find(p).names)
      if (i < 0 || static_cast<size_t>(i) >= names.size()) std::abort();
  for (size_t i = 0; i < names.size(); ++i) {
    const std::vector<int> found = index.find(names[i]).names;
    if (!found.empty() && std::find(found.begin(), found.end(), static_cast<int>(i)) == found.end()) {
      bool same = false;
      for (const int j : found) same = same || index.find(names[static_cast<size_t>(j)]).names == found;
      if (!same) std::abort();
    }
  }
  cytodet::assign_paths(index, paths, "names", "name", false);
}
