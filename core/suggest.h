// Nearest names, for errors that list what is known.
#pragma once

#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

// Up to `max` of `known`, nearest by edit distance first; only those near enough to be a slip.
std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& known, size_t max = 3);

// "did you mean a, b?" from nearest(); otherwise "known: a, b, ..." (at most 12); empty when nothing is known.
std::string suggest(std::string_view name, const std::vector<std::string>& known);

// The entry of this name in a table of entries that have a `name`; null: there is none.
template <class Entries>
auto entry_named(const Entries& entries, std::string_view name) {
  for (const auto& entry : entries)
    if (name == entry.name) return &entry;
  return decltype(&*std::begin(entries)){};
}

template <class Entries>
std::vector<std::string> names_of(const Entries& entries) {
  std::vector<std::string> names;
  for (const auto& entry : entries) names.emplace_back(entry.name);
  return names;
}

}  // namespace cytodet::core
