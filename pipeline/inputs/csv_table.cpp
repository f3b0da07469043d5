#include "pipeline/inputs/csv_table.h"

#include <algorithm>

#include "core/error.h"

namespace cytodet::pipeline {
namespace {

char separator_of(std::string_view text) {
  bool quoted = false;
  for (char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == ',' || c == ';' || c == '\t') return c;
    if (c == '\n' || c == '\r') break;
  }
  return ',';
}

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& where) : text_(text), where_(where), separator_(separator_of(text)) {}

  std::vector<CsvRow> rows() {
    std::vector<CsvRow> all;
    while (at_ < text_.size()) {
      CsvRow row{line_, {}};
      do row.cells.push_back(cell());
      while (take(separator_));
      if (!take('\r') && !take('\n') && at_ < text_.size()) fail("has text behind a closing quote", line_);
      if (row.cells.size() > 1 || !row.cells[0].empty()) all.push_back(std::move(row));
    }
    return all;
  }

 private:
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    count_line();
    ++at_;
    return true;
  }

  // A line ends with \n, \r\n or \r.
  void count_line() {
    if (text_[at_] == '\n' || (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] != '\n'))) ++line_;
  }

  std::string cell() {
    std::string value;
    if (at_ == text_.size() || text_[at_] != '"') {
      const size_t end = std::min(text_.find_first_of(std::string{separator_, '\r', '\n'}, at_), text_.size());
      value = text_.substr(at_, end - at_);
      at_ = end;
      return value;
    }
    const size_t begun = line_;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') return ++at_, value;
        ++at_;
      }
      count_line();
      value += text_[at_];
    }
    fail("has a quote that is not closed", begun);
  }

  [[noreturn]] void fail(const std::string& what, size_t line) const {
    throw Error(where_, "line " + std::to_string(line) + " " + what, "write cells with quotes doubled and in quotes");
  }

  std::string_view text_;
  const std::string& where_;
  const char separator_;
  size_t at_ = 0, line_ = 1;
};

}  // namespace

std::vector<CsvRow> parse_csv(std::string_view utf8, const std::string& where) { return CsvReader(utf8, where).rows(); }

}  // namespace cytodet::pipeline
