// Text for terminals and tables of fixed width: names of files and classes come from outside and may be of any script, hold
// control characters, or be no UTF-8 at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

// The text as one line of UTF-8 that a terminal may show. Control characters, also those that turn the direction of writing, and
// bytes that are not UTF-8 become \n, \t, \x1b, \u202e.
std::string printable(std::string_view text);

// printable() of each line; the line ends stay.
std::string printable_lines(std::string_view text);

// The text with only the bytes that are not UTF-8 so written.
std::string valid_utf8(std::string_view text);

// Columns that printable(text) takes on a terminal: 2 for wide characters (Chinese, Japanese, Korean, emoji), 0 for combining
// marks.
size_t display_width(std::string_view text);

// printable(text) in at most `columns`; cut before a whole character, with "…" for what is left out.
std::string cut_to_width(std::string_view text, size_t columns);

// cut_to_width() with blanks behind or before it, so that it takes exactly `columns`.
std::string left_aligned(std::string_view text, size_t columns);
std::string right_aligned(std::string_view text, size_t columns);

}  // namespace cytodet::core
