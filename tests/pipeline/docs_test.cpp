// Every console example of README.md and docs/ runs as it stands there, from the repository's root (a copy made of links).
#include <set>
#include <sstream>

#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

struct Example {
  std::string page;
  std::vector<std::string> arguments;
};

std::vector<Example> examples() {
  std::vector<Example> all;
  std::vector<std::filesystem::path> pages{kSource + "/README.md"};
  for (const auto& e : std::filesystem::directory_iterator(kSource + "/docs"))
    if (e.path().extension() == ".md") pages.push_back(e.path());
  std::sort(pages.begin(), pages.end());
  for (const auto& page : pages) {
    std::istringstream text(read_file(page));
    for (std::string line; std::getline(text, line);) {
      if (!line.starts_with("$ cytodet ")) continue;
      Example example{page.filename().string(), {}};
      std::istringstream words(line.substr(10));
      for (std::string word; words >> word;) example.arguments.push_back(word);
      all.push_back(example);
    }
  }
  return all;
}

class Docs : public ProgramTest {};

TEST_F(Docs, EveryExampleRuns) {
  for (const char* name : {"models", "tests"}) std::filesystem::create_directory_symlink(kSource + "/" + name, folder / name);
  std::filesystem::copy(kSource + "/configs", folder / "configs");
  std::filesystem::current_path(folder);
  std::vector<Example> all = examples();
  EXPECT_GE(all.size(), 8u);
  std::set<std::string> commands;
  for (const Example& example : all) {
    commands.insert(example.arguments[0]);
    Output o = run(example.arguments);
    std::string line;
    for (const std::string& a : example.arguments) line += " " + a;
    EXPECT_EQ(o.code, 0) << example.page << ": cytodet" << line << "\n" << o.err;
  }
  std::filesystem::current_path(kSource);
  // Every command that the help lists has an example.
  std::istringstream help(run({"--help"}).out);
  bool listed = false;
  for (std::string line; std::getline(help, line);) {
    if (line.starts_with("Subcommands:")) listed = true;
    std::string name = line.substr(0, line.find_first_of(" \t", 2));
    if (!listed || line.starts_with("  help") || !line.starts_with("  ") || line.starts_with("   ")) continue;
    EXPECT_TRUE(commands.contains(name.substr(2))) << "no page in docs/ shows cytodet " << name;
  }
}

}  // namespace
}  // namespace cytodet::test
