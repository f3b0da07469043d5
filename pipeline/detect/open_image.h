// An image made ready for detection: opened, cut into tiles, and those tiles chosen that are run.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
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
  std::vector<Box> parts;  // what was scanned, where that is several parts: boxes between them do not count
  // A first look, with a cascade: its tiles at the lower resolution, those that are not looked at yet, and where something was
  // seen [level-0 pixels]. look_left and seen are guarded by look_mutex.
  std::vector<Tile> look;
  size_t look_left = 0;
  std::vector<Box> seen;
  std::mutex look_mutex;
  std::condition_variable looked;
  int bad_limit = 0;                  // bad tiles that are tolerated
  std::atomic<bool> given_up{false};  // too many bad tiles: the rest need not run
};

class ImageOpener {
 public:
  // `input`: that the network was frozen for; it asks for tiles of this shape. masks: OpenImage::result.mask is made. All outlive
  // the opener.
  ImageOpener(const DetectSettings& settings, const InputSettings& input, const TileShape& shape, bool masks);

  // Opens a slide that is no file: pixels in memory.
  using Source = std::function<std::unique_ptr<Slide>()>;
  // The file `path`, or what `source` opens under that name where it is not empty. Never throws Error: what is wrong is the
  // result's failure.
  std::shared_ptr<OpenImage> open(const std::string& path, const Source& source = {}) const;
  // After the first look: of the tiles that are to run those stay in which something was seen.
  static void keep_seen(OpenImage& image);

 private:
  void cut(OpenImage& image) const;
  void choose_tiles(OpenImage& image) const;
  bool keep_in_regions(OpenImage& image) const;
  void skip_background(OpenImage& image) const;
  void plan_look(OpenImage& image) const;

  const DetectSettings& settings_;
  const InputSettings& input_;
  const TileShape& shape_;
  std::optional<RoiSource> roi_;  // none: no regions
  bool masks_;
};

}  // namespace cytodet::pipeline
