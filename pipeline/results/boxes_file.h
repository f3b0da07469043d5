// RUN/boxes/NAME.boxes: the exact detections of one image.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "core/box.h"
#include "pipeline/results/image_result.h"

namespace cytodet::pipeline {

// boxes/NAME.boxes: one line of JSON, BoxesHeader, then per detection, ranked, five little-endian values: x0, y0, x1, y1
// (float64, level-0 pixels), class index (int32), score (float32).
struct BoxesHeader {
  std::string format = "cytodet boxes 1";
  std::string settings_hash;                   // RunState's
  int64_t slide_bytes = 0, slide_time_ns = 0;  // size and time of change of the slide's file
  std::string slide_hash;                      // of parts of it and of its companions, see pipeline/inputs/slide_files.h
  std::string image_options;                   // how its images were made
  ImageResult slide;                           // without times, index and image id: those are run.json's
};
void fields(Fields& f, BoxesHeader& s);

void write_boxes(const BoxesHeader& header, const Detections& detections, const std::filesystem::path& path);

// Reads in constant memory. Errors name the file: missing, cut short, not of this form, a box that cannot be.
class BoxesReader {
 public:
  explicit BoxesReader(const std::filesystem::path& path);
  const BoxesHeader& header() const { return header_; }
  bool next(Detection& d);  // false: no more

 private:
  [[noreturn]] void damaged(const std::string& what) const;
  std::filesystem::path path_;
  std::ifstream file_;
  BoxesHeader header_;
  int64_t left_ = 0;
};

}  // namespace cytodet::pipeline
