// Measuring a search's settings with the network, on images with ground truth.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/lru_cache.h"
#include "eval/ground_truth.h"
#include "pipeline/tune/detection_cache.h"
#include "pipeline/tune/journal.h"
#include "pipeline/tune/search_space.h"
#include "tiling/regions/roi.h"

namespace cytodet::pipeline {

// How much work an image is, as mean of those that speed is measured on, for speeds that are reported: unit "images" (then it is
// 1), or "mm2" or "megapixels" of scanned area.
struct TuneWork {
  double amount = 1;
  std::string unit = "images";
};

// What a search measures settings with, whatever the network: the functions of TuneMeasure.
class TuneEvaluator {
 public:
  virtual ~TuneEvaluator() = default;
  virtual int stages() const = 0;
  virtual double seconds(size_t network, size_t parallel) = 0;
  virtual std::vector<TuneAccuracy> accuracy(size_t network, int stage, const std::vector<size_t>& merges) = 0;
  virtual size_t images() const = 0;
  virtual TuneWork work() const { return {}; }
  virtual const char* figure() const = 0;  // what TuneAccuracy::map is, for tables
};

// Files in the output folder: journal.json, and cache/KEY.raw for every image under every network setting.
class TuneMeasurer : public TuneEvaluator {
 public:
  explicit TuneMeasurer(const TuneSpace& space);

  // The functions of TuneMeasure. Seconds: the whole of reading, resizing, network and decoding of the first `speed.images`
  // images, the fastest of `speed.repeats`. Accuracy at a stage: the bound of an AP in which the images not looked at yet are
  // scored as without a fault; merge seconds of the images that speed is measured on, the fastest of three.
  int stages() const override { return static_cast<int>(stage_images_.size()); }
  double seconds(size_t network, size_t parallel) override;
  std::vector<TuneAccuracy> accuracy(size_t network, int stage, const std::vector<size_t>& merges) override;

  size_t images() const override { return images_.size(); }
  // Images that are not cut into tiles count as such, others by the area that was scanned: as mm2 where the size of all pixels is
  // known, else as megapixels.
  TuneWork work() const override;
  const char* figure() const override { return "mAP"; }
  size_t detected() const { return detected_; }  // images that the network was run on for their detections

 private:
  std::string image_key(size_t network, size_t image) const;  // of its raw detections
  std::string accuracy_key(size_t network, size_t merge) const;
  std::string seconds_key(size_t network, size_t parallel) const;
  std::filesystem::path raw_path(const std::string& key) const { return folder_ / "cache" / (key + ".raw"); }
  bool is_tiled() const;
  void read_models();
  Detector& detector(size_t network, size_t parallel);
  void keep(size_t network, size_t image, DetectedImage& result) const;
  DetectReport run(size_t network, size_t parallel, const std::vector<size_t>& images, bool keep_each);
  void load(size_t network, size_t images);
  double map(size_t network, size_t merge, size_t images) const;
  double merge_seconds(size_t merge) const;

  const TuneSpace& space_;
  std::filesystem::path folder_;
  GroundTruth truth_;
  std::string truth_hash_;
  std::vector<std::string> images_, image_hashes_;
  std::vector<int> image_of_;                 // per image: its image in truth_
  std::map<std::string, ModelFile> models_;   // by path; with the least score that the search asks for
  std::map<std::string, RoiSource> regions_;  // by path
  std::vector<std::string> network_hashes_;
  std::vector<size_t> stage_images_;
  size_t timed_ = 1;  // images that speed is measured on
  TuneJournal journal_;
  static constexpr size_t kMaxDetectors = 3;  // that are kept compiled
  LruCache<std::pair<std::string, std::string>, std::unique_ptr<Detector>> detectors_{
      kMaxDetectors};                        // by path of the model and detector_key()
  size_t loaded_ = static_cast<size_t>(-1);  // network
  std::vector<RawDetections> raw_;           // of its first images
  std::set<std::string> warned_;             // of images, each reported once
  bool tiled_ = false;                       // an image that was loaded was cut into tiles
  size_t detected_ = 0;
};

}  // namespace cytodet::pipeline
