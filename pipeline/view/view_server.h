// What the viewer's page asks for: slides, tiles, boxes. Paths are numbers and fixed words; no file name ever comes from a
// request.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.h"
#include "core/lru_cache.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/image_result.h"
#include "pipeline/view/http.h"

namespace cytodet::pipeline {

struct ViewSlide {
  std::string name, path;         // path: of the slide's file; empty: not there, boxes are shown over white
  int64_t width = 0, height = 0;  // level-0 pixels
  std::optional<double> mpp;
  int64_t boxes = 0;
  std::optional<ImageState> state;       // of the run; none: a slide alone
  std::string reason;                    // as in run.json
  ImageSelection selection;              // of the file
  std::optional<double> mpp_y = {};      // down; empty: as across
  std::optional<PixelArea> bounds = {};  // of what was scanned, which is shown first
};

// Least recently used bytes go first. Any thread.
class ByteCache {
 public:
  explicit ByteCache(size_t max_bytes) : kept_(max_bytes) {}
  std::shared_ptr<const std::string> get(const std::string& key);
  void put(const std::string& key, std::shared_ptr<const std::string> value);

 private:
  std::mutex mutex_;
  LruCache<std::string, std::shared_ptr<const std::string>> kept_;
};

// clang-format off
// Paths:
//   ""  view.js  view.css    the page
//   slides.json              {"title", "tile", "classes": [{"name", "color", "score"}], "boxes_count": text, "truth": bool,
//                            "slides": [ViewSlide with "zooms"]}
//   SLIDE/tile/ZOOM/X/Y      JPEG of 512 x 512 pixels (less at the right and bottom), each 2^ZOOM level-0 pixels wide
//   SLIDE/truth              see pack_truth(); 404 without ground truth
//   SLIDE/boxes              "CYB1", count (uint32), then little-endian columns: x0, y0, x1, y1, score (float32), class (uint16)
// clang-format on
// Anything else is 404.
class ViewServer {
 public:
  using Boxes = std::function<Detections(size_t slide)>;
  // `counting`: the scores at which the page's sliders begin.
  ViewServer(std::string title, std::vector<ViewSlide> slides, Classes classes, Boxes boxes, CountingScores counting = {});
  // Gives what pack_truth() makes of each slide; set before anything is asked for.
  using Truth = std::function<std::string(size_t slide)>;
  void set_truth(Truth truth) { read_truth_ = std::move(truth); }
  HttpReply answer(std::string_view path);  // any thread
  void stop() { stop_ = true; }             // running tiles give up soon

  static constexpr int kTile = 512;
  static int zooms(const ViewSlide& s);  // of these the last shows the slide in one tile

 private:
  HttpReply tile(size_t slide, int zoom, int64_t x, int64_t y);
  HttpReply boxes(size_t slide);
  HttpReply truth(size_t slide);
  Json slides_json() const;
  std::shared_ptr<const Slide> open(size_t slide);

  std::string title_;
  std::vector<ViewSlide> slides_;
  Classes classes_;
  Boxes read_boxes_;
  CountingScores counting_;
  Truth read_truth_;
  std::mutex boxes_mutex_, open_mutex_;
  ByteCache tiles_{size_t{128} << 20}, box_bytes_{size_t{256} << 20};
  LruCache<size_t, std::shared_ptr<const Slide>> open_{4};
  std::atomic<bool> stop_{false};
};

// "CYT1", count of boxes and of classes (uint32, little-endian as the rest), truths per class (uint32), then per box of
// SLIDE/boxes whether it is right (uint8: 1), false (0), or neither, being in a crowd (2). `truth` in the image's pixels, classes
// as those of the detections; a match overlaps by an IoU of at least 0.5 (eval/class_outcomes.h).
struct TruthBox {
  Box box;
  int category = 0;
  bool crowd = false;
};
std::string pack_truth(const Detections& detections, const std::vector<TruthBox>& truth, size_t classes);

// The columns of SLIDE/boxes.
std::string pack_boxes(const Detections& detections);

}  // namespace cytodet::pipeline
