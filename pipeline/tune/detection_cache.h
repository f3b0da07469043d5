// What the tiles of one image gave, in a file: merging and scores can be tried again without the network.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/detect/image_pipeline.h"

namespace cytodet::pipeline {

struct RawDetections {
  bool tiled = false;
  std::vector<RawDetection> found;
};

// Binary, little-endian: a line "cytodet raw 1 KEY TILED COUNT", then per detection x0, y0, x1, y1, inner_edge_px (float64),
// class, tile (int32), score (float32), then 16 digits of a hash of all that. Written aside, then renamed.
void write_raw(const RawDetections& raw, const std::string& key, const std::filesystem::path& path);

// Errors name the file: missing, damaged, of another key.
RawDetections read_raw(const std::filesystem::path& path, const std::string& key);
RawDetections parse_raw(std::string_view bytes, const std::string& where, const std::string& key);

}  // namespace cytodet::pipeline
