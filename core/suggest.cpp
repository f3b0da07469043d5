#include "core/suggest.h"

#include <algorithm>

#include "core/join.h"

namespace cytodet::core {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t up = row[j];
      row[j] = std::min({up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = up;
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& known, size_t max) {
  std::string_view asked = name.substr(0, 256);
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& k : known) {
    bool contained = asked.size() >= 3 && k.find(asked) != std::string::npos;
    size_t length = std::max(asked.size(), k.size());
    if (!contained && std::max(asked.size(), k.size()) - std::min(asked.size(), k.size()) > length / 3 + 1) continue;
    size_t d = edit_distance(asked, std::string_view(k).substr(0, 256));
    if (contained || d <= length / 3 + 1) ranked.emplace_back(d, k);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < ranked.size() && i < max; ++i) names.push_back(ranked[i].second);
  return names;
}

std::string suggest(std::string_view name, const std::vector<std::string>& known) {
  if (known.empty()) return {};
  const std::vector<std::string> near = nearest(name, known);
  return near.empty() ? "known: " + listed(known) : "did you mean " + join(near, ", ") + "?";
}

}  // namespace cytodet::core
