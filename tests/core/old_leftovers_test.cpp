// What killed processes of versions before 0.2.0 left: NAME.part-PID-N.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "core/file.h"

namespace cytodet {
namespace {

TEST(OldLeftOvers, AreRemovedWhereTheirProcessIsGoneAndNothingElseIs) {
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ::waitpid(gone, nullptr, 0);
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("old_leftovers_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string pid = std::to_string(gone);
  write_file(folder / ("run.json.part-" + pid + "-0"), "half");
  const std::string others[] = {"run.json.part-" + std::to_string(::getppid()) + "-0",
                                "a.part-" + pid,
                                "a.part-" + pid + "-0.txt",
                                "a.part-0" + pid + "-0",
                                ".part-" + pid + "-0",
                                "a.part-" + pid + "-x"};
  for (const std::string& name : others) write_file(folder / name, "mine");
  EXPECT_EQ(remove_partial_files(folder), 1);
  EXPECT_FALSE(std::filesystem::exists(folder / ("run.json.part-" + pid + "-0")));
  for (const std::string& name : others) EXPECT_TRUE(std::filesystem::exists(folder / name)) << name;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cytodet
