#include "models/heat_maps/heat_map_settings.h"

#include "core/enum_names.h"
#include "core/error.h"
#include "core/settings.h"
#include "models/common/need.h"

namespace cytodet::models {
namespace {

constexpr EnumName<MapLayout> kMapLayouts[] = {{MapLayout::channels_last, "channels_last"},
                                               {MapLayout::channels_first, "channels_first"}};
constexpr EnumName<ScoreForm> kPeakScoreForms[] = {{ScoreForm::probability, "probability"}, {ScoreForm::sigmoid, "sigmoid"}};
constexpr EnumName<SizeForm> kSizeForms[] = {
    {SizeForm::width_height, "width_height"}, {SizeForm::height_width, "height_width"}, {SizeForm::distances, "distances"}};
constexpr EnumName<MapUnit> kMapUnits[] = {{MapUnit::cells, "cells"}, {MapUnit::pixels, "pixels"}};

}  // namespace

void fields(Fields& f, HeatMapOutputs& s) {
  f.unless(std::string(), "heat_map", s.heat_map);
  f.unless(std::string(), "size", s.size);
  f.unless(std::string(), "offset", s.offset);
}

void HeatMapSettings::describe(Fields& f) {
  f("outputs", outputs);
  enum_field(f, "layout", layout, kMapLayouts, "layout");
  enum_field(f, "score_form", score_form, kPeakScoreForms, "score_form");
  enum_field(f, "size_form", size_form, kSizeForms, "size_form");
  enum_field(f, "size_unit", unit, kMapUnits, "size_unit");
  f("peak_window", peak_window);
  f("radius", radius);
  f("suppressed", suppressed);
}

HeatMapSettings& heat_map_settings(const ModelFile& model) {
  if (auto* own = dynamic_cast<HeatMapSettings*>(model.own.get())) return *own;
  throw Error(model.name, "is no model file of a network that gives heat maps");
}

void check_heat_maps(const ModelFile& model, const std::string& where) {
  const HeatMapSettings& s = heat_map_settings(model);
  need(!s.outputs.heat_map.empty(), "outputs.heat_map", "must name the node that gives the scores", where);
  need(s.radius >= 0 && s.radius <= 16384, "radius", "must be 0 to 16384", where);
  need(s.outputs.size.empty() == (s.radius > 0), "radius",
       "must be over 0 without outputs.size, which says how large an object is, and 0 with it", where);
  need(s.peak_window >= 1 && s.peak_window <= 99 && s.peak_window % 2 == 1, "peak_window", "must be odd, 1 to 99", where);
}

}  // namespace cytodet::models
