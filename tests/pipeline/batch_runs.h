// Runs of batches in a folder of their own, and what they leave there.
#pragma once

#include <signal.h>

#include <chrono>
#include <map>
#include <thread>

#include "pipeline/results/run_folder.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {

inline const std::string kSlide = kSource + "/tests/data/slides/blood-mosaic.tif", kImages = kSource + "/tests/data/bccd/";

class BatchRuns : public ProgramTest {
 protected:
  std::vector<std::string> command(const std::string& out, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments{"detect", "--model", kModel, "-o", path(out), "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // A folder of small slides.
  std::string slides(int count) const {
    std::filesystem::create_directory(folder / "slides");
    int n = 0;
    for (const auto& e : std::filesystem::directory_iterator(kImages))
      if (e.path().extension() == ".jpg" && n++ < count)
        std::filesystem::copy_file(e.path(), folder / "slides" / e.path().filename());
    return path("slides");
  }
  // Every file of a run but run.json, byte for byte, and run.json without times.
  std::map<std::string, std::string> results(const std::string& run) const {
    std::map<std::string, std::string> all;
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder / run))
      if (e.is_regular_file() && e.path().filename() != "run.json")
        all[std::filesystem::relative(e.path(), folder / run).string()] = read_file(e.path());
    Json j = read_json(folder / run / "run.json");
    j.erase("timing");
    j["settings"].erase("output");
    for (Json& i : j["inputs"]) i.erase("seconds");
    all["run.json"] = j.dump(1);
    return all;
  }
  void expect_equal(const std::string& a, const std::string& b) const {
    const auto x = results(a), y = results(b);
    for (const auto& [name, bytes] : x) EXPECT_TRUE(y.contains(name) && y.at(name) == bytes) << b << "/" << name;
    for (const auto& [name, bytes] : y) EXPECT_TRUE(x.contains(name)) << b << "/" << name << " is too much";
  }
  // Starts the program and kills it after `seconds`; true when it had ended by itself.
  bool run_and_kill(std::vector<std::string> arguments, double seconds) const {
    const pid_t child = ::fork();
    if (child == 0) {
      if (!std::freopen("/dev/null", "w", stdout) || !std::freopen("/dev/null", "w", stderr)) _exit(126);
      std::vector<char*> argv{const_cast<char*>(kProgram.c_str())};
      for (std::string& a : arguments) argv.push_back(a.data());
      argv.push_back(nullptr);
      ::execv(kProgram.c_str(), argv.data());
      _exit(127);
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    int status = 0;
    while (std::chrono::steady_clock::now() < end) {
      if (::waitpid(child, &status, WNOHANG) == child) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return WIFEXITED(status);
  }
  RunState state(const std::string& run) const { return RunFolder{folder / run}.read(); }
};

}  // namespace cytodet::test
