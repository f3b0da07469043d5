// Nearest names, for errors that list what is known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cytodet {

// Up to `most` of `known`, nearest by edit distance first; only those near enough to be a slip.
std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& known, size_t most = 3);

// "did you mean a, b?" from nearest(); otherwise "known: a, b, ..." (at most 12); empty when nothing is known.
std::string suggest(std::string_view name, const std::vector<std::string>& known);

}  // namespace cytodet
