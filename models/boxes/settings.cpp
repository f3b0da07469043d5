#include "models/boxes/settings.h"

#include "core/enum_names.h"
#include "core/error.h"
#include "core/settings.h"
#include "models/common/need.h"

namespace cytodet::models {
namespace {

constexpr EnumName<BoxForm> kBoxForms[] = {
    {BoxForm::yxyx, "yxyx"}, {BoxForm::xyxy, "xyxy"}, {BoxForm::xywh, "xywh"}, {BoxForm::cxcywh, "cxcywh"}};
constexpr EnumName<BoxUnit> kBoxUnits[] = {{BoxUnit::share, "share"}, {BoxUnit::pixels, "pixels"}};
constexpr EnumName<ClassNumbers> kClassNumbers[] = {{ClassNumbers::category_ids, "category_ids"},
                                                    {ClassNumbers::channels, "channels"}};

}  // namespace

void fields(Fields& f, BoxOutputs& s) {
  f("boxes", s.boxes);
  f("scores", s.scores);
  f.unless(std::string(), "classes", s.classes);
  f.unless(std::string(), "count", s.count);
}

void BoxSettings::describe(Fields& f) {
  f("outputs", outputs);
  enum_field(f, "box_form", form, kBoxForms, "box_form");
  enum_field(f, "box_unit", unit, kBoxUnits, "box_unit");
  enum_field(f, "class_numbers", class_numbers, kClassNumbers, "class_numbers");
  f("background", background);
  f("suppressed", suppressed);
}

BoxSettings& box_settings(const ModelFile& model) {
  if (auto* own = dynamic_cast<BoxSettings*>(model.own.get())) return *own;
  throw Error(model.name, "is no model file of a network that gives boxes");
}

void check_boxes(const ModelFile& model, const std::string& where) {
  const BoxSettings& s = box_settings(model);
  need(!s.outputs.boxes.empty(), "outputs.boxes", "must name the node that gives the boxes", where);
  need(!s.outputs.scores.empty(), "outputs.scores", "must name the node that gives the scores", where);
  const bool scores_each_class = s.outputs.classes.empty() && model.class_count() > 1;
  need(!scores_each_class || !s.suppressed, "suppressed", "must be false: boxes with a score for each class overlap", where);
  need(!s.background || s.outputs.classes.empty(), "background",
       "is about scores for each class: leave out outputs.classes, or this", where);
}

}  // namespace cytodet::models
