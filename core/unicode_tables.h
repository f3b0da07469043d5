// Tables of core/unicode.cpp, made by scripts/unicode_tables. Each is sorted by its first column; ASCII and Hangul are not in
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace cytodet::unicode {

struct Decomposition {
  char32_t from, first, second;  // second 0: there is none
};
struct Combining {
  char32_t first, last;
  uint8_t of_class;
};
struct Folding {
  char32_t from, to[3];  // 0: there is none
};
extern const Decomposition kDecompositions[];
extern const Combining kCombining[];
extern const Folding kFoldings[];
extern const size_t kDecompositionCount, kCombiningCount, kFoldingCount;

}  // namespace cytodet::unicode
