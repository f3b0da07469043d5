// The model file: what a detector graph's inputs and outputs mean. JSON beside the graph; keys are the field names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/settings.h"

namespace cytodet::models {

struct InputSettings {
  std::string node = "image";
  int width = 512, height = 512;                     // pixels
  std::string pixel_order = "RGB";                   // RGB or BGR
  std::vector<double> mean = {0.485, 0.456, 0.406};  // of 0..1; value = (pixel / 255 - mean) / deviation
  std::vector<double> deviation = {0.229, 0.224, 0.225};
};

struct AnchorSettings {
  int min_level = 3, max_level = 7;
  int octaves = 3;                                // scales per octave
  std::vector<double> aspects = {1.0, 2.0, 0.5};  // width / height
  double scale = 4.0;                             // anchor side in strides
};

struct SuppressionSettings {
  std::string method = "hard";      // hard, or gaussian (soft-NMS)
  double iou = 0.5;                 // hard: boxes over it are dropped
  double sigma = 0.5;               // gaussian: score *= exp(-iou^2 / sigma)
  double score = 0.05;              // least score of a detection
  int candidates_per_class = 5000;  // best ones that enter suppression
  int detections = 100;             // best ones kept per image
};

struct ModelFile {
  std::string name;
  std::string graph;  // path, relative to the model file
  InputSettings input;
  std::vector<std::string> class_logits, box_deltas;  // node per level, min_level first
  AnchorSettings anchors;
  std::vector<std::string> classes;  // names, in channel order
  std::vector<int> category_ids;     // COCO ids, in channel order; empty: 1, 2, ...
  SuppressionSettings suppression;

  int class_count() const { return static_cast<int>(classes.size()); }
  int category_id(int c) const { return category_ids.empty() ? c + 1 : category_ids[static_cast<size_t>(c)]; }
};

void fields(Fields& f, InputSettings& s);
void fields(Fields& f, AnchorSettings& s);
void fields(Fields& f, SuppressionSettings& s);
void fields(Fields& f, ModelFile& s);

// Reads and checks; `graph` comes back as a path that can be opened. Errors name the file and the key.
ModelFile read_model_file(const std::filesystem::path& path);
void check(const ModelFile& model, const std::string& where);
// Written aside, then renamed; `graph` is written relative to the file.
void write_model_file(const ModelFile& model, const std::filesystem::path& path);

// Published configurations: efficientdet-d0 .. d7, d7x and efficientdet-lite0 .. lite4, lite3x (input side, normalisation,
// levels, anchor scale).
ModelFile configuration(const std::string& name);
std::vector<std::string> configuration_names();

}  // namespace cytodet::models
