// Cells of CSV files.
#pragma once

#include <string>
#include <string_view>

namespace cytodet::pipeline {

// RFC 4180: quoted when it must be, quotes doubled.
std::string csv_field(const std::string& text);

// A text that spreadsheet programs show as it is: an apostrophe stands before what they would take for a formula (=1+1), a number
// (1E5, 007), a date (10-12, MARCH1), a time, a truth value or an error. Bytes that are not UTF-8 become \xff.
std::string spreadsheet_text(const std::string& text);

}  // namespace cytodet::pipeline
