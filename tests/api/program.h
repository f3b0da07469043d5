// What the program answers, to hold the library against it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "cytodet/cytodet.h"
#include "tests/paths.h"

namespace cytodet::test {

inline const std::string kSource = source_dir();
inline const std::string kModel = kSource + "/models/efficientdet/efficientdet_d0_blood.json";
inline const std::string kImages = kSource + "/tests/data/bccd";
inline const std::string kTruth = kImages + "/val.json";
inline const std::string kImage = kImages + "/BloodImage_00007.jpg";
inline const std::string kSlide = kSource + "/tests/data/slides/blood-mosaic.tif";  // 4120 x 3160 pixels: cut into tiles

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

// The models that many tests use, opened once.
inline const Model& model() {
  static const Model opened(kModel);
  return opened;
}

// The Error that `run` throws; a test failure where it throws none.
template <class Run>
Error error_of(Run run) {
  try {
    run();
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::internal, "", "", "", ""};
}

class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder = std::filesystem::temp_directory_path() /
             ("cytodet_api_" + std::string(info->test_suite_name()) + "_" + info->name() + "_" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string path(const std::string& name) const { return (folder / name).string(); }

  // Runs the program; its exit code must be 0.
  void program(const std::vector<std::string>& arguments) const {
    std::string line = "'" + binary_dir() + "/cytodet'";
    for (const std::string& a : arguments) line += " '" + a + "'";
    EXPECT_EQ(std::system((line + " >'" + path("out") + "' 2>&1").c_str()), 0) << line << "\n" << bytes_of(path("out"));
  }

  // Boxes of a file NAME as the program finds them.
  std::vector<Detection> boxes_of_program(const std::string& file, std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"detect", "--model", kModel, file, "-o", path("program"), "--quiet"});
    program(options);
    const std::string bytes = bytes_of(path("program") + "/boxes/" + std::filesystem::path(file).stem().string() + ".boxes");
    std::vector<Detection> found;
    for (size_t at = bytes.find('\n') + 1; at + 40 <= bytes.size(); at += 40) {
      Detection d;
      std::memcpy(&d.box, &bytes[at], 32);
      std::memcpy(&d.class_index, &bytes[at + 32], 4);
      std::memcpy(&d.score, &bytes[at + 36], 4);
      found.push_back(d);
    }
    return found;
  }

  // Files of a run folder that do not hold times, by name.
  static std::map<std::string, std::string> files_of_run(const std::filesystem::path& run) {
    std::map<std::string, std::string> files;
    for (const auto& e : std::filesystem::recursive_directory_iterator(run))
      if (e.is_regular_file() && !e.path().filename().string().starts_with("run."))
        files[std::filesystem::relative(e.path(), run).string()] = bytes_of(e.path());
    return files;
  }

  std::filesystem::path folder;
};

inline void expect_equal(const std::vector<Detection>& a, const std::vector<Detection>& b) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_FALSE(a.empty());
  for (size_t i = 0; i < a.size(); ++i) {
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bit for bit
    EXPECT_EQ(std::memcmp(&a[i].box, &b[i].box, sizeof(Box)), 0) << "detection " << i;
    EXPECT_EQ(a[i].class_index, b[i].class_index) << "detection " << i;
    EXPECT_EQ(a[i].score, b[i].score) << "detection " << i;
  }
}

// All of a slide's level 0.
inline Image pixels_of(const std::string& file) {
  const Slide slide(file);
  return slide.read(0, 0, 0, static_cast<int>(slide.width()), static_cast<int>(slide.height()));
}

}  // namespace cytodet::test
