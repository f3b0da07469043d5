// Tables of texts that other programs write: CSV, with commas, semicolons or tabs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cytodet::pipeline {

struct CsvRow {
  size_t line = 0;  // of the text, from 1, where it begins
  std::vector<std::string> cells;
};
// RFC 4180 with any line end: a cell in quotes may hold separators, line ends and doubled quotes. The separator is the one of
// comma, semicolon and tab that the first line has outside of quotes; a comma where it has none. Empty lines do not count. Throws
// Error of `where` with the line for a quote that is not closed and for text behind one.
std::vector<CsvRow> parse_csv(std::string_view utf8, const std::string& where);

}  // namespace cytodet::pipeline
