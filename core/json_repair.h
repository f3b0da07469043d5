// JSON beyond the standard, as real programs write it: numbers without a value and numbers too large.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

// A copy of the text that a strict reader takes. Every bare NaN, Infinity, -inf, 1.#QNAN and number beyond a double becomes the
// object
// {"not finite": "NaN"}: where a field is ignored nothing changes, and where it is used its reader says that this is no number.
// Whole numbers of over 18 digits (ids made of UUIDs) become floating-point numbers.
struct RepairedJson {
  std::string text;
  std::vector<std::pair<size_t, size_t>> edits;  // end of an edit here, end of what it replaced there
  size_t original(size_t byte) const;            // offset in the text that was repaired
};
// To be called when strict reading has failed, so that good text costs nothing. Empty: there is nothing to repair.
std::optional<RepairedJson> repair_json(std::string_view text);

}  // namespace cytodet::core
