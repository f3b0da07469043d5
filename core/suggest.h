// Nearest names, for errors that list what is known.
#pragma once

#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

// Up to `most` of `known`, nearest by edit distance first; only those near enough to be a slip.
std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& known, size_t max = 3);

// "did you mean a, b?" from nearest(); otherwise "known: a, b, ..." (at most 12); empty when nothing is known.
std::string suggest(std::string_view name, const std::vector<std::string>& known);

// The row of this name in a table of rows that have a `name`; null: there is none.
template <class Rows>
auto row_named(const Rows& rows, std::string_view name) {
  for (const auto& row : rows)
    if (name == row.name) return &row;
  return decltype(&*std::begin(rows)){};
}

template <class Rows>
std::vector<std::string> names_of(const Rows& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.emplace_back(row.name);
  return names;
}

}  // namespace cytodet::core
