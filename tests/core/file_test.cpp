// What becomes of output files: full disks, names that are too long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "tests/error_of.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class OutputFile : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    folder = fs::temp_directory_path() / ("cytodet_file_" + name + "_" + std::to_string(::getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }
  fs::path folder;
};

TEST_F(OutputFile, AFullDiskIsTold) {
  const Error full = Error("a.json", "cannot write", "free some space").caused_by(Cause::disk_full);
  EXPECT_EQ(full.cause(), Cause::disk_full);
  EXPECT_EQ(full.within("out").cause(), Cause::disk_full);
  EXPECT_EQ(Error("a.json", "cannot write").cause(), Cause::other);
}

TEST_F(OutputFile, ATooLongNameSaysHowLongItMayBe) {
  EXPECT_THAT(error_of([&] { write_file(folder / std::string(300, 'x'), ""); }), HasSubstr("255 bytes"));
  EXPECT_THAT(error_of([&] { make_folder(folder / std::string(300, 'x')); }), HasSubstr("255 bytes"));
}

}  // namespace
}  // namespace cytodet
