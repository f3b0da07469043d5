// Outputs are held against inputs and against each other before any work.
#include "core/output_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "tests/error_of.h"

namespace cytodet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class OutputPlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    folder = fs::temp_directory_path() / ("cytodet_plan_" + name + "_" + std::to_string(::getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder / "sub");
    write_file(folder / "truth.json", "{}");
  }
  void TearDown() override { fs::remove_all(folder); }
  // What check() says of these outputs, with truth.json as the one input.
  std::string said(const std::vector<fs::path>& outputs) const {
    OutputPlan plan;
    plan.add_input(folder / "truth.json", "the ground truth");
    for (const fs::path& o : outputs) plan.add_output(o, "the report");
    return error_of([&] { plan.check(); });
  }
  fs::path folder;
};

TEST_F(OutputPlanTest, RefusesAnInputHoweverItIsSpelled) {
  fs::create_symlink("truth.json", folder / "link.json");
  fs::create_symlink("link.json", folder / "link_of_link.json");
  fs::create_hard_link(folder / "truth.json", folder / "hard.json");
  fs::create_directory_symlink(folder, folder / "sub" / "up");
  for (const char* spelled : {"truth.json", "./truth.json", "sub/../truth.json", "sub//..//truth.json", "link.json",
                              "link_of_link.json", "hard.json", "sub/up/truth.json", "sub/up/sub/up/link.json"})
    EXPECT_THAT(said({folder / spelled}), AllOf(HasSubstr("would be written over the ground truth"), HasSubstr("truth.json")))
        << spelled;
  const fs::path before = fs::current_path();
  fs::current_path(folder / "sub");
  EXPECT_THAT(said({"../truth.json"}), HasSubstr("the ground truth, " + (folder / "truth.json").string()));
  fs::current_path(before);
}

TEST_F(OutputPlanTest, AllowsOtherFiles) {
  write_file(folder / "old.json", "");
  fs::create_symlink("nowhere.json", folder / "dangling.json");
  EXPECT_EQ(said({folder / "report.json", folder / "old.json", folder / "dangling.json", folder / "new" / "truth.json"}), "");
  EXPECT_EQ(said({"/dev/null", "/dev/null", "-"}), "");
  EXPECT_EQ(said({""}), "");
}

TEST_F(OutputPlanTest, RefusesTwoOutputsOfOneName) {
  fs::create_symlink("new.json", folder / "dangling.json");
  fs::create_directory_symlink(folder, folder / "sub" / "up");
  for (const char* spelled : {"new.json", "./new.json", "sub/../new.json", "dangling.json", "sub/up/new.json"})
    EXPECT_THAT(said({folder / "new.json", folder / spelled}), HasSubstr("would be one file")) << spelled;
  EXPECT_THAT(said({folder / "a" / "b" / "x", folder / "a" / "." / "b" / "x"}), HasSubstr("would be one file"));
  EXPECT_THAT(said({folder / "a" / "x", folder / "a" / ".." / "a" / "x"}), HasSubstr("would be one file"));
  EXPECT_THAT(said({"-", "/dev/stdout"}), HasSubstr("would be one file"));
  EXPECT_EQ(said({folder / "new.json", folder / "sub" / "new.json"}), "");
}

// Upper and lower case are two files here, and one on disks from elsewhere.
TEST_F(OutputPlanTest, AsksTheFileSystemWhetherNamesAreOne) {
  const bool one = names_are_one(folder, "Report.json", "report.json");
  EXPECT_EQ(said({folder / "Report.json", folder / "report.json"}).empty(), !one);
  EXPECT_EQ(said({folder / "A" / "r.json", folder / "a" / "r.json"}).empty(), !one);
  EXPECT_TRUE(names_are_one(folder, "x", "x"));
  EXPECT_FALSE(names_are_one(folder, "x", "y"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2);  // truth.json, sub
}

TEST_F(OutputPlanTest, ACircleOfLinksEnds) {
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  EXPECT_EQ(said({folder / "a"}), "");  // writing says what is wrong
}

}  // namespace
}  // namespace cytodet
