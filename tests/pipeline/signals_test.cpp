// What a program leaves behind that is stopped while it writes, and outputs that are no plain files.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <future>
#include <thread>

#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kTruth = kSource + "/tests/data/eval/synthetic200_gt.json",
                  kDetections = kSource + "/tests/data/eval/synthetic200_dt.json";

class Stopped : public ProgramTest {
 protected:
  // With hidden ones.
  std::vector<std::string> all_names(const std::filesystem::path& where) const {
    std::vector<std::string> found;
    std::error_code missing;
    for (const auto& e : std::filesystem::directory_iterator(where, missing)) found.push_back(e.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }
  // Boxes that take some seconds to export.
  std::string many_boxes() const {
    std::string text = "[";
    for (int i = 0; i < 200000; ++i)
      text += std::string(i ? "," : "") + R"({"image_id":1,"category_id":1,"bbox":[1.5,2.5,3.5,4.5],"score":0.5})";
    return put("big.json", text + "]");
  }
  // Sends the signal when a partial file is there; returns the exit code as a shell sees it.
  int stopped_at_work(const std::string& input, const std::string& out, int signal) const {
    std::filesystem::create_directory(out);
    const pid_t child = start({"export", input, "-o", out + "/", "--format", "geojson", "--image", "1"});
    for (int i = 0; i < 60000; ++i) {
      const std::vector<std::string> there = all_names(out);
      if (!there.empty() && there[0].ends_with(".part")) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ::kill(child, signal);
    return wait(child).code;
  }
};

TEST_F(Stopped, ExportLeavesNothingAndTheShellSeesTheSignal) {
  const std::string input = many_boxes();
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const std::string out = path("out" + std::to_string(signal));
    EXPECT_EQ(stopped_at_work(input, out, signal), 128 + signal);
    EXPECT_THAT(all_names(out), IsEmpty());
  }
}

TEST_F(Stopped, WhatIgnoresHangUpsGoesOn) {
  const std::string input = many_boxes(), out = path("out");
  const auto before = ::signal(SIGHUP, SIG_IGN);  // as nohup does
  EXPECT_EQ(stopped_at_work(input, out, SIGHUP), 0);
  ::signal(SIGHUP, before);
  EXPECT_THAT(all_names(out), ElementsAre(".cytodet-files", "image_1.geojson"));
}

TEST_F(Stopped, TheOldFileStays) {
  const std::string input = many_boxes(), out = path("out");
  std::filesystem::create_directory(out);
  put("out/image_1.geojson", "old");
  const pid_t child = start({"export", input, "-o", out + "/image_1.geojson", "--image", "1"});
  for (int i = 0; i < 60000 && all_names(out).size() < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGTERM);
  EXPECT_EQ(wait(child).code, 128 + SIGTERM);
  EXPECT_THAT(all_names(out), ElementsAre("image_1.geojson"));
  EXPECT_EQ(read_file(folder / "out" / "image_1.geojson"), "old");
}

// A shell command, with the program as $P.
struct Said {
  int code;
  std::string err;
};
Said shell(const std::filesystem::path& folder, const std::string& command) {
  const std::string whole =
      "cd '" + folder.string() + "'; P='" + kProgram + "'; set -o pipefail; { " + command + "; } 2>.stderr </dev/null";
  const int status = std::system(("bash -c '" +
                                  [&] {
                                    std::string quoted;
                                    for (char c : whole) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
                                    return quoted;
                                  }() +
                                  "'")
                                     .c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(folder / ".stderr")};
}

TEST_F(Stopped, AReaderThatStopsIsAPlainFailure) {
  many_boxes();
  const Said s = shell(folder, "$P export big.json -o - --format geojson --image 1 | head -c 10 >head.txt");
  EXPECT_EQ(s.code, 1) << s.err;
  EXPECT_THAT(s.err, HasSubstr("-: cannot write: Broken pipe"));
  EXPECT_EQ(read_file(folder / "head.txt").size(), 10u);
  EXPECT_THAT(all_names(folder), ElementsAre(".stderr", "big.json", "head.txt"));
}

class Streams : public Stopped {};

TEST_F(Streams, StandardOutputTakesTheFileAndNothingElse) {
  ASSERT_EQ(run({"merge", kDetections, "-o", path("want.json")}).code, 0);
  for (const std::string out : {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}) {
    const Said s = shell(folder, "$P merge " + kDetections + " -o " + out + " | cat >got.json");
    EXPECT_EQ(s.code, 0) << s.err;
    EXPECT_EQ(read_file(folder / "got.json"), read_file(folder / "want.json")) << out;
    EXPECT_THAT(s.err, HasSubstr("merged to"));
  }
  EXPECT_EQ(shell(folder, "$P merge " + kDetections + " -o - >>got.json").code, 0);
  EXPECT_EQ(read_file(folder / "got.json").size(), 2 * read_file(folder / "want.json").size());
}

TEST_F(Streams, ANamedPipeIsWrittenThrough) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const std::string evaluate = "$P evaluate --truth " + kTruth + " --detections " + kDetections,
                    report = "$P report " + kDetections + " --truth " + kTruth;
  for (const std::string& command : {"$P merge " + kDetections, evaluate, report}) {
    EXPECT_EQ(shell(folder, command + " -o want >/dev/null").code, 0);
    const Said s = shell(folder, "cat pipe >got & " + command + " -o pipe >/dev/null; code=$?; wait; exit $code");
    EXPECT_EQ(s.code, 0) << s.err;
    EXPECT_EQ(read_file(folder / "got"), read_file(folder / "want")) << command;
    struct stat info {};
    ASSERT_EQ(::lstat(path("pipe").c_str(), &info), 0);
    EXPECT_TRUE(S_ISFIFO(info.st_mode));
  }
}

TEST_F(Streams, APipeThatNobodyReadsIsRefusedBeforeTheWork) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const Output o = run({"report", kDetections, "-o", path("pipe")});
  EXPECT_EQ(o.code, 1);
  EXPECT_THAT(o.err, HasSubstr("pipe: is a named pipe that nobody reads; start its reader first"));
}

TEST_F(Streams, ALinkIsFollowedAndTheNullDeviceStays) {
  put("real.json", "precious");
  std::filesystem::create_symlink("real.json", folder / "link");
  ASSERT_EQ(run({"merge", kDetections, "-o", path("link")}).code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(std::filesystem::file_size(folder / "real.json"), 1134469u);
  ASSERT_EQ(run({"merge", kDetections, "-o", "/dev/null"}).code, 0);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

}  // namespace
}  // namespace cytodet::test
