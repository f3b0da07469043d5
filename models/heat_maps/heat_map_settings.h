// The keys of a model file of a network that gives a map of scores for each class, whose peaks are the centres of objects, as
// CenterNet does (Zhou, Wang, Kraehenbuehl, "Objects as Points", 2019); sizes of objects in a second map, or one radius for all.
#pragma once

#include <string>

#include "models/common/scores.h"
#include "models/model_file.h"

namespace cytodet::models {

enum class MapLayout { channels_last, channels_first };         // [1, height, width, c]; [1, c, height, width]
enum class SizeForm { width_height, height_width, distances };  // distances: of left, top, right and bottom from the centre
enum class MapUnit { cells, pixels };                           // of sizes: cells of the map, or pixels of the input

struct HeatMapOutputs {
  std::string heat_map;      // node: a channel for each class
  std::string size, offset;  // nodes: 2 or 4 channels; 2 channels (x, y), where in its cell a centre lies. Empty: none
};
void fields(Fields& f, HeatMapOutputs& s);

struct HeatMapSettings : FamilySettings {
  HeatMapOutputs outputs;
  MapLayout layout = MapLayout::channels_last;
  ScoreForm score_form = ScoreForm::probability;  // not softmax: a cell's scores are each of its own
  SizeForm size_form = SizeForm::width_height;
  MapUnit unit = MapUnit::cells;
  int peak_window = 3;  // a peak is no smaller than any score of its class in so many rows and columns around it
  // Pixels of the input, for networks that give centres alone: their boxes are squares of twice the radius about the centre,
  // also over the edge of the image or tile, so that a box's middle always is the centre. 0: sizes come from a map.
  double radius = 0;
  bool suppressed = true;  // peaks are objects; false: `suppression` drops boxes that overlap

  const char* family() const override { return "heat_maps"; }
  std::unique_ptr<FamilySettings> clone() const override { return std::make_unique<HeatMapSettings>(*this); }
  void describe(Fields& f) override;
};
// The settings of a model file. Throws Error when its family is another one.
HeatMapSettings& heat_map_settings(const ModelFile& model);

// Throws UsageError with `where` and the key.
void check_heat_maps(const ModelFile& model, const std::string& where);

}  // namespace cytodet::models
