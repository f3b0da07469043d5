// Tables of core/text_width.cpp, made by scripts/text_width_tables; sorted. ASCII is not in them.
#pragma once

#include <cstddef>
#include <iterator>

namespace cytodet::unicode {

struct Range {
  char32_t first, last;
};
extern const Range kWide[];   // two columns
extern const Range kEmpty[];  // none: combining marks, joiners
extern const size_t kWideCount, kEmptyCount;

}  // namespace cytodet::unicode
