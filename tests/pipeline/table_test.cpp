// The table of slides with names of any script.
#include <gtest/gtest.h>

#include <sstream>

#include "core/text_width.h"
#include "core/unicode.h"
#include "pipeline/results/run_folder.h"

namespace cytodet::test {
namespace {

TEST(RunTable, ColumnsAreAlignedAndCharactersAreWhole) {
  RunState state;
  for (const char* name :
       {"b", "x2024-05-13_病理科學_宮頸細胞學_掃描儀A_病理科學_宮頸", "Pr\xe4parat", "esc\x1b[2J", "Pra\u0308parat"}) {
    ImageResult s;
    s.name = name;
    s.state = ImageState::done;
    state.inputs.push_back(s);
  }
  state.inputs.back().state = ImageState::failed;
  state.inputs.back().reason = "bad\x1b]0;title\x07";
  const std::string table = run_table(state);
  EXPECT_TRUE(is_utf8(table)) << table;
  EXPECT_EQ(table.find('\x1b'), std::string::npos);
  std::istringstream lines(table);
  std::string line;
  std::getline(lines, line);
  const size_t column = line.find("state");
  EXPECT_EQ(column, 41u);
  for (const ImageResult& s : state.inputs) {
    std::getline(lines, line);
    EXPECT_EQ(display_width(line.substr(0, line.find(" " + std::string(name_of(s.state))))), column - 1) << line;
  }
}

}  // namespace
}  // namespace cytodet::test
