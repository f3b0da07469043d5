// Every console example of README.md and docs/ runs as it stands there, from the repository's root (a copy made of links).
#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include "core/settings.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

struct Example {
  std::string page;
  std::vector<std::string> arguments;
  std::string to;  // the file that both outputs go to: "> FILE 2>&1"
};

// Words between blanks, as a shell has them: '...' and "..." are one.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  bool open = false;
  char quote = 0;
  for (char c : line) {
    if (quote ? c == quote : c == '\'' || c == '"') {
      quote = quote ? '\0' : c;
      if (!std::exchange(open, true)) words.emplace_back();
    } else if (c == ' ' && !quote) {
      open = false;
    } else {
      if (!std::exchange(open, true)) words.emplace_back();
      words.back() += c;
    }
  }
  return words;
}

Example example_of(const std::string& page, const std::string& line) {
  Example e{page, words_of(line), ""};
  const auto redirected = std::find(e.arguments.begin(), e.arguments.end(), ">");
  if (redirected == e.arguments.end()) return e;
  e.to = *(redirected + 1);
  e.arguments.erase(redirected, e.arguments.end());
  return e;
}

std::vector<Example> examples_of(const std::filesystem::path& page) {
  std::vector<Example> all;
  std::istringstream text(read_file(page));
  for (std::string line; std::getline(text, line);)
    if (line.starts_with("$ cytodet ")) all.push_back(example_of(page.filename().string(), line.substr(10)));
  return all;
}

// A recipe is a test of its own.
bool is_recipe(const std::filesystem::path& page) { return page.filename().string().starts_with("recipe_"); }

std::vector<Example> examples() {
  std::vector<Example> all;
  std::vector<std::filesystem::path> pages{kSource + "/README.md"};
  for (const auto& e : std::filesystem::directory_iterator(kSource + "/docs"))
    if (e.path().extension() == ".md" && !is_recipe(e.path())) pages.push_back(e.path());
  std::sort(pages.begin(), pages.end());
  for (const auto& page : pages)
    for (Example& e : examples_of(page)) all.push_back(std::move(e));
  return all;
}

class Docs : public ProgramTest {
 protected:
  // In a copy of the repository that is made of links.
  void enter() {
    for (const char* name : {"models", "tests"}) std::filesystem::create_directory_symlink(kSource + "/" + name, folder / name);
    std::filesystem::copy(kSource + "/configs", folder / "configs");
    std::filesystem::current_path(folder);
  }
  void leave() { std::filesystem::current_path(kSource); }
  void expect_runs(const Example& example) {
    const Output o = run(example.arguments);
    std::string line;
    for (const std::string& a : example.arguments) line += " " + a;
    EXPECT_EQ(o.code, 0) << example.page << ": cytodet" << line << "\n" << o.err;
    if (!example.to.empty()) write_file(example.to, o.out + o.err);
  }
};

TEST_F(Docs, EveryExampleRuns) {
  enter();
  std::vector<Example> all = examples();
  EXPECT_GE(all.size(), 8u);
  std::set<std::string> commands;
  for (const Example& example : all) {
    commands.insert(example.arguments[0]);
    expect_runs(example);
  }
  leave();
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

// The table of the page is what the report says.
TEST_F(Docs, RecipeOfTheCompetitionRuns) {
  enter();
  const std::filesystem::path page = kSource + "/docs/recipe_competition.md";
  std::filesystem::create_directory("out");  // as the page says
  for (const Example& example : examples_of(page)) expect_runs(example);
  const std::string text = read_file(page);
  int rows = 0;
  constexpr double kTolerance = 0.012;  // on 36 images; calibration and INT8 kernels differ a little by instruction set
  const Json report = parse_json(read_file("out/compared.json"), "compared.json");
  for (const Json& row : report.at("compare")) {
    const std::string model = row.at("model").get<std::string>();
    const size_t at = text.find("\n" + model + " ");
    ASSERT_NE(at, std::string::npos) << model;
    EXPECT_NEAR(row.at("AP").get<double>(), std::stod(text.substr(at + 1 + model.size())), kTolerance) << model;
    ++rows;
  }
  EXPECT_GE(rows, 3);
  leave();
}

}  // namespace
}  // namespace cytodet::test
