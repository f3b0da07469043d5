// An image made ready for detection: opened, cut into tiles, and those tiles chosen that are run.
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

struct OpenImage {
  DetectedImage result;  // what is known so far: waiting where its tiles are to be run, failed, or skipped
  std::shared_ptr<const Slide> slide;
  std::vector<Tile> tiles;  // to run, with their indices in the grid
  std::optional<Roi> roi;
  std::vector<Box> parts;             // what was scanned, where that is several parts: boxes between them do not count
  int bad_limit = 0;                  // bad tiles that are tolerated
  std::atomic<bool> given_up{false};  // too many bad tiles: the rest need not run
};

class ImageOpener {
 public:
  // `input`: of the network. masks: OpenImage::result.mask is made. All outlive the opener.
  ImageOpener(const DetectSettings& settings, const InputSettings& input, bool masks);

  // Opens a slide that is no file: pixels in memory.
  using Source = std::function<std::unique_ptr<Slide>()>;
  // The file `path`, or what `source` opens under that name where it is not empty. Never throws Error: what is wrong is the
  // result's failure.
  std::shared_ptr<OpenImage> open(const std::string& path, const Source& source = {}) const;

 private:
  void cut(OpenImage& image) const;
  void choose_tiles(OpenImage& image) const;
  bool keep_in_regions(OpenImage& image) const;
  void skip_background(OpenImage& image) const;

  const DetectSettings& settings_;
  const InputSettings& input_;
  std::optional<RoiSource> roi_;  // none: no regions
  bool masks_;
};

}  // namespace cytodet::pipeline
