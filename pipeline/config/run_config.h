// The run config: one struct per room, defaults here; the effective settings go into every result.
#pragma once

#include <filesystem>
#include <optional>

#include "pipeline/config/detect_settings.h"
#include "pipeline/config/quantize_settings.h"
#include "pipeline/results/formats/output.h"

namespace cytodet::pipeline {

struct EvaluateSettings {
  std::vector<int> max_dets = {1, 10, 100};
  bool per_class = true;
};
void fields(Fields& f, EvaluateSettings& s);

// How a classification network is run and what is listed of each image.
struct ClassifySettings {
  int batch = 1;            // images that the network takes at once
  int top = 5;              // classes per image in classes.csv
  std::optional<int> side;  // of the input [pixels], of graphs that take any; the model file's short side grows with it
  friend bool operator==(const ClassifySettings&, const ClassifySettings&) = default;
};
void fields(Fields& f, ClassifySettings& s);
void check(const ClassifySettings& s);

enum class OverlayFormat { png, jpg };
constexpr OverlayFormat kOverlayFormats[] = {OverlayFormat::png, OverlayFormat::jpg};
const char* name_of(OverlayFormat format);  // also the file's extension
// Throws UsageError at `where` with the known ones.
OverlayFormat overlay_format_named(const std::string& name, const std::string& where);

struct RunConfig {
  std::string model;                      // model file or graph; paths are relative to the config
  std::vector<std::string> inputs;        // images, slides, folders, patterns, @lists
  std::string truth;                      // COCO; empty: no scoring
  std::string output = "out";             // folder
  bool overlay = false;                   // also an image with boxes per input
  std::optional<double> overlay_score;    // least score of a box in the image; none: those that count
  std::optional<double> operating_score;  // from which boxes of all classes count; none: the model file's operating_scores
  OverlayFormat overlay_format = OverlayFormat::png;
  std::vector<std::string> outputs;  // entries of outputs() that are written per input as well
  DensityOf density_area = DensityOf::regions;
  DetectSettings detect;
  EvaluateSettings evaluate;
  ClassifySettings classify;
  std::optional<QuantizeSettings> quantize;  // of `run`: also the network in INT8, compared with float
};
void fields(Fields& f, RunConfig& s);

// Reads, checks, and makes paths relative to the config's folder.
RunConfig read_run_config(const std::filesystem::path& path);
RunConfig parse_run_config(const Json& json, const std::filesystem::path& path);

}  // namespace cytodet::pipeline
