// Options that detect and evaluate share; they override the config.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/cli/selection_flags.h"
#include "pipeline/config/run_config.h"
#include "pipeline/detect/detector.h"

namespace CLI {
class App;
}

namespace cytodet::pipeline {

struct DetectFlags {
  std::string model, config;
  std::optional<int> tile, overlap, level, streams, threads, detections;
  std::optional<double> mpp, assume_mpp, scale, score, iou;
  std::vector<double> set_mpp;
  std::vector<int> network_px;
  std::optional<double> cascade, cascade_score;
  bool fit_edges = false;
  std::string mode, merge, nms, hint, precision, background, roi, origin, max_bad_tiles;
  std::vector<std::string> roi_class, roi_ignore;
  bool quiet = false;
  SelectionFlags selection;

  void add(CLI::App& app);
  // The config with what was given on the command line. Throws UsageError on what cannot be.
  RunConfig settings() const;
  Detector detector(const RunConfig& config) const;

 private:
  void set_tiling(TilingSettings& tiling) const;
  void set_regions(DetectSettings& settings) const;
  void set_streams(DetectSettings& settings) const;
  void set_network(RunConfig& config) const;
};

}  // namespace cytodet::pipeline
