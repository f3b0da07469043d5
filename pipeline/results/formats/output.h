// Outputs: the forms in which an image's detections are written. An entry per form.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/box.h"
#include "pipeline/results/formats/counting_scores.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::pipeline {

// Classes by index: the ids that COCO files use, and names.
class Classes {
 public:
  struct Class {
    int64_t id = 0;
    std::string name;
  };
  // An id given twice keeps its first name.
  int add(int64_t id, std::string name);
  // An unknown id is added as "class <id>". Throws Error beyond 10,000 classes.
  int index_of(int64_t id);
  const std::vector<Class>& all() const { return classes_; }
  const Class& operator[](int index) const { return classes_.at(static_cast<size_t>(index)); }
  std::vector<std::string> names() const;

 private:
  std::vector<Class> classes_;
  std::unordered_map<int64_t, int> index_;
};

// What is known of the image that the detections are of.
struct OutputImage {
  std::string name;  // what the files call it
  int64_t image_id = 0;
  int64_t width = 0, height = 0;         // level-0 pixels; 0: not known
  std::optional<double> mpp_x, mpp_y;    // micrometres per pixel
  std::shared_ptr<const Slide> slide;    // null: its pixels are not at hand
  const Classes* classes = nullptr;      // outlives the output; may grow while detections are added
  std::optional<PixelArea> bounds = {};  // what was scanned of the slide, where it gives it
  // Level-0 pixels inside the regions of interest, and of these in tiles that were run. Empty: a run of an earlier version, or
  // results from elsewhere.
  std::optional<double> analysed_px = {}, run_px = {};
  bool regions = false;  // boxes were looked for in regions of interest only

  // Size of the scanned area [level-0 pixels]; of the whole canvas where the slide gives no bounds.
  int64_t shown_width() const { return bounds ? bounds->width : width; }
  int64_t shown_height() const { return bounds ? bounds->height : height; }
};
OutputImage output_image_of(std::string name, int64_t image_id, std::shared_ptr<const Slide> slide, const Classes& classes);

// What boxes per mm² are divided by: what was looked at (regions of interest, or all that was scanned); that without what was
// left out as background; all that was scanned.
enum class DensityOf { regions, tiles, slide };
const char* name_of(DensityOf which);
// Throws UsageError with the known ones.
DensityOf density_of_named(const std::string& name);

struct OutputSettings {
  int crops = 24;                  // of a class on the contact sheet
  Origin origin = Origin::bounds;  // of GeoJSON's coordinates
  DensityOf density_area = DensityOf::regions;
  CountingScores counting;  // which detections a form of Boxes::counted holds
};
void check(const OutputSettings& s);

// One file being written, aside; without finish() nothing is left. Memory does not grow with the detections.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  virtual void add(const Detection& detection) = 0;
  virtual void finish() = 0;  // renames onto the final name
};

// What an entry wants of the slide's file; bounds and used: goes without when it is not there.
enum class Pixels { none, bounds, used, needed };

// Which detections of an image are put into a file: all, from the low score of the model file on, or those that count.
enum class Boxes { all, counted };

struct Output {
  const char* name;
  const char* suffix;  // of the file, after the image's name
  const char* summary;
  Pixels pixels;
  Boxes boxes;
  std::unique_ptr<OutputFile> (*open)(const OutputImage& image, const OutputSettings& settings, const std::filesystem::path& to);
};
std::span<const Output> outputs();
std::string output_names();  // "box-list, coco, ..."
// UsageError with the known names.
const Output& output_named(const std::string& name);
// By the longest suffix; null when none fits.
const Output* output_for(const std::filesystem::path& file);

// folder/<file_name><suffix> for each entry that `names` lists, of the detections that it takes. Errors name the file.
void write_outputs(const std::vector<std::string>& names, const OutputImage& image, const Detections& detections,
                   const OutputSettings& settings, const std::filesystem::path& folder, const std::string& file_name);

}  // namespace cytodet::pipeline
