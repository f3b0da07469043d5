// Interrupted work leaves nothing half-written under a final name, and the next run does it all.
#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "core/settings.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

class Interrupted : public ProgramTest {
 protected:
  // Every file under `where` that is not visibly a part is whole: those that are JSON can be read.
  void expect_no_partial_file(const std::filesystem::path& where) const {
    std::error_code missing;
    for (const auto& e : std::filesystem::recursive_directory_iterator(where, missing)) {
      const std::string name = e.path().filename().string();
      if (!e.is_regular_file() || name.ends_with(".part") || e.path().extension() != ".json") continue;
      EXPECT_NO_THROW(read_json(e.path())) << e.path();
    }
  }
  Output interrupted(const std::vector<std::string>& arguments, int signal, int after_ms) const {
    const pid_t child = start(arguments);
    std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
    ::kill(child, signal);
    return wait(child);
  }
};

TEST_F(Interrupted, DetectCanBeRunAgain) {
  const std::string images = kSource + "/tests/data/bccd/BloodImage_000";
  const std::vector<std::string> command{"detect",
                                         "--model",
                                         kModel,
                                         images + "07.jpg",
                                         images + "15.jpg",
                                         images + "18.jpg",
                                         "--truth",
                                         kSource + "/tests/data/bccd/val.json",
                                         "-o",
                                         path("out"),
                                         "--quiet"};
  for (const auto& [signal, after_ms] : std::vector<std::pair<int, int>>{{SIGINT, 20}, {SIGTERM, 300}, {SIGINT, 900}}) {
    const Output o = interrupted(command, signal, after_ms);
    EXPECT_TRUE(o.code == 0 || o.code == 128 + signal) << o.code << o.err;
    expect_no_partial_file(folder / "out");
  }
  EXPECT_EQ(run(command).code, 0);
  EXPECT_FALSE(read_json(folder / "out" / "detections.json").empty());
  expect_no_partial_file(folder / "out");
}

TEST_F(Interrupted, EvaluateLeavesItsReportAsItWas) {
  const std::vector<std::string> command{"evaluate",
                                         "--truth",
                                         kSource + "/tests/data/bccd/val.json",
                                         "--model",
                                         kModel,
                                         "--images",
                                         kSource + "/tests/data/bccd/BloodImage_00007.jpg",
                                         "-o",
                                         put("report.json", "{\"old\": true}"),
                                         "--quiet"};
  for (int signal : {SIGINT, SIGTERM}) {
    const Output o = interrupted(command, signal, 30);
    EXPECT_TRUE(o.code == 0 || o.code == 128 + signal) << o.code << o.err;
    const Json report = read_json(folder / "report.json");
    EXPECT_EQ(report.contains("old"), o.code != 0);
    put("report.json", "{\"old\": true}");
  }
  EXPECT_EQ(run(command).code, 0);
  EXPECT_TRUE(read_json(folder / "report.json").contains("stats"));
}

}  // namespace
}  // namespace cytodet::test
