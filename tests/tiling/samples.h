// Paths of the test data and small helpers.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tiling/slides/slide.h"

namespace cytodet {

inline std::filesystem::path data_folder() { return std::filesystem::path(cytodet::source_dir()) / "tests" / "data"; }

inline Image read_whole(const Slide& s, int level = 0) {
  const LevelInfo& l = s.levels[static_cast<size_t>(level)];
  Image image(static_cast<int>(l.width), static_cast<int>(l.height));
  s.read(level, 0, 0, image.width, image.height, image.rgb.data());
  return image;
}

inline int largest_difference(const std::vector<uint8_t>& a, const std::string& b) {
  if (a.size() != b.size()) return 256;
  int worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(int{a[i]} - int{static_cast<uint8_t>(b[i])}));
  return worst;
}

// A folder of its own, removed at the end.
struct ScratchFolder {
  std::filesystem::path path;
  ScratchFolder() {
    static int count = 0;
    path =
        std::filesystem::temp_directory_path() / ("cytodet-tiling-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace cytodet
