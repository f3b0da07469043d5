// Runs the built program as a user would.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/settings.h"
#include "tests/paths.h"

namespace cytodet::test {

inline const std::string kSource = cytodet::source_dir();
inline const std::string kProgram = cytodet::binary_dir() + "/cytodet";
inline const std::string kModel = kSource + "/models/efficientdet/efficientdet_d0_blood.json";

struct Output {
  int code = -1;
  std::string out, err;
  // Lines of stderr that report an error.
  std::vector<std::string> errors() const {
    std::vector<std::string> lines;
    for (size_t at = 0; at < err.size();) {
      size_t end = std::min(err.find('\n', at), err.size());
      std::string line = err.substr(at, end - at);
      if (line.starts_with("cytodet: error: ")) lines.push_back(line.substr(16));
      at = end + 1;
    }
    return lines;
  }
};

class ProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = "cytodet_" + std::string(info->test_suite_name()) + "_" + info->name() + "_" + std::to_string(::getpid());
    std::replace(name.begin(), name.end(), '/', '_');  // of tests with parameters
    folder = std::filesystem::temp_directory_path() / name;
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string path(const std::string& name) const { return (folder / name).string(); }
  std::string put(const std::string& name, std::string_view bytes) const {
    write_file(folder / name, bytes);
    return path(name);
  }

  // No shell in between. max_file_bytes > 0: writing more fails, as on a full disk.
  Output run(std::vector<std::string> arguments, int64_t max_file_bytes = 0) const {
    return wait(start(std::move(arguments), max_file_bytes));
  }
  // Whoever starts one may kill it, and must wait for it.
  pid_t start(std::vector<std::string> arguments, int64_t max_file_bytes = 0) const {
    std::string out = path(".stdout"), err = path(".stderr");
    pid_t child = ::fork();
    if (child == 0) {
      if (!std::freopen("/dev/null", "r", stdin) || !std::freopen(out.c_str(), "w", stdout) ||
          !std::freopen(err.c_str(), "w", stderr))
        _exit(126);
      if (max_file_bytes > 0) {
        rlimit limit{static_cast<rlim_t>(max_file_bytes), static_cast<rlim_t>(max_file_bytes)};
        ::setrlimit(RLIMIT_FSIZE, &limit);
      }
      std::vector<char*> argv{const_cast<char*>(kProgram.c_str())};
      for (std::string& a : arguments) argv.push_back(a.data());
      argv.push_back(nullptr);
      ::execv(kProgram.c_str(), argv.data());
      _exit(127);
    }
    return child;
  }
  Output wait(pid_t child) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    Output o;
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    o.out = read_file(path(".stdout"));
    o.err = read_file(path(".stderr"));
    return o;
  }

  // Names in a folder, our own captures left out; empty when it does not exist.
  std::vector<std::string> names(const std::filesystem::path& where) const {
    std::vector<std::string> found;
    std::error_code error;
    for (const auto& e : std::filesystem::directory_iterator(where, error))
      if (e.path().filename().string()[0] != '.') found.push_back(e.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

  std::filesystem::path folder;
};

}  // namespace cytodet::test
