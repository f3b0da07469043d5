// A model as the caller holds it, and what it found.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/handles.h"
#include "api/stream_pool.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/image_pipeline.h"

struct cytodet_model {
  std::string path;                            // as it was opened
  cytodet::pipeline::DetectSettings settings;  // streams, threads, precision and score that it was opened with
  std::unique_ptr<cytodet::pipeline::Detector> detector;
  std::unique_ptr<cytodet::api::StreamPool> pool;
};

struct cytodet_result {
  std::string name, path, skip_reason;  // name: path as UTF-8
  cytodet_state state = CYTODET_DONE;
  std::optional<cytodet_error> error;
  int64_t width = 0, height = 0, tiles = 0, tiles_run = 0, bad_tiles = 0;
  double mpp_x = 0, mpp_y = 0;
  std::vector<std::string> warnings;
  std::vector<cytodet_detection> detections;
};

struct cytodet_results {
  std::vector<cytodet_result> inputs;
  cytodet::models::ModelFile model;  // its classes
  bool stopped = false;
};
