#include "models/efficientdet/efficientdet_settings.h"

#include <algorithm>

#include "core/error.h"
#include "core/settings.h"
#include "models/common/need.h"

namespace cytodet::models {

void fields(Fields& f, AnchorSettings& s) {
  f("min_level", s.min_level);
  f("max_level", s.max_level);
  f("octaves", s.octaves);
  f("aspects", s.aspects);
  f("scale", s.scale);
}

void EfficientDetSettings::describe(Fields& f) {
  f("class_logits", class_logits);
  f("box_deltas", box_deltas);
  f("anchors", anchors);
}

EfficientDetSettings& efficientdet_settings(const ModelFile& model) {
  if (auto* own = dynamic_cast<EfficientDetSettings*>(model.own.get())) return *own;
  throw Error(model.name, "is no model file of an EfficientDet");
}

void check_efficientdet(const ModelFile& model, const std::string& where) {
  const EfficientDetSettings& s = efficientdet_settings(model);
  const AnchorSettings& a = s.anchors;
  need(a.min_level >= 1 && a.max_level >= a.min_level && a.max_level <= 12, "anchors",
       "levels must satisfy 1 <= min_level <= max_level <= 12", where);
  need(a.octaves >= 1 && a.octaves <= 16, "anchors.octaves", "must be 1 to 16", where);
  need(!a.aspects.empty() && a.aspects.size() <= 16 && *std::min_element(a.aspects.begin(), a.aspects.end()) > 0,
       "anchors.aspects", "must be positive numbers", where);
  need(a.scale > 0, "anchors.scale", "must be positive", where);
  const std::string nodes = "must name " + std::to_string(a.levels()) + " nodes, one per level";
  need(s.class_logits.size() == a.levels(), "class_logits", nodes, where);
  need(s.box_deltas.size() == a.levels(), "box_deltas", nodes, where);
}

}  // namespace cytodet::models
