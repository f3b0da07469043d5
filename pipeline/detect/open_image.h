// A picture made ready for detection: opened, cut into tiles, and those tiles chosen that are run.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "pipeline/detect/image_pipeline.h"
#include "tiling/regions/roi.h"

namespace cytodet::pipeline {

// What a slide was skipped for ends in this where no region of interest is given for it.
inline constexpr const char* kNoRegion = " has no region of interest for it";

struct OpenPicture {
  PictureResult result;  // what is known so far
  std::shared_ptr<const Slide> slide;
  std::vector<Tile> tiles;  // to run, with their indices in the grid
  std::optional<Roi> roi;
  std::vector<Box> parts;  // what was scanned, where that is several parts: boxes between them do not count
  int bad_limit = 0;
  std::atomic<bool> given_up{false};  // too many bad tiles: the rest need not run
};

struct OpenOptions {
  const DetectSettings* settings = nullptr;
  const InputSettings* input = nullptr;
  const RoiSource* roi = nullptr;  // null: no regions
  bool mask = false;
  std::function<std::unique_ptr<Slide>()> open;  // instead of opening the file of that path; may be empty
};

// Never throws Error: what is wrong is in result.problem.
std::shared_ptr<OpenPicture> open_picture(const std::string& path, const OpenOptions& options);

}  // namespace cytodet::pipeline
