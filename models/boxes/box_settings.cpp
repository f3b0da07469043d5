#include "models/boxes/box_settings.h"

#include "core/enum_names.h"
#include "core/error.h"
#include "core/settings.h"
#include "models/common/need.h"

namespace cytodet::models {
namespace {

constexpr EnumName<BoxFormat> kBoxFormats[] = {
    {BoxFormat::yxyx, "yxyx"}, {BoxFormat::xyxy, "xyxy"}, {BoxFormat::xywh, "xywh"}, {BoxFormat::cxcywh, "cxcywh"}};
constexpr EnumName<BoxUnit> kBoxUnits[] = {{BoxUnit::share, "share"}, {BoxUnit::pixels, "pixels"}};
constexpr EnumName<ClassNumbers> kClassNumbers[] = {{ClassNumbers::category_ids, "category_ids"},
                                                    {ClassNumbers::channels, "channels"}};
constexpr EnumName<ScoreForm> kScoreForms[] = {
    {ScoreForm::probability, "probability"}, {ScoreForm::sigmoid, "sigmoid"}, {ScoreForm::softmax, "softmax"}};
constexpr EnumName<Background> kBackgrounds[] = {
    {Background::none, "none"}, {Background::first, "first"}, {Background::last, "last"}};
constexpr EnumName<JoinedForm> kJoinedForms[] = {{JoinedForm::scores, "scores"},
                                                 {JoinedForm::score_and_class, "score_and_class"},
                                                 {JoinedForm::score, "score"},
                                                 {JoinedForm::image_class_score, "image_class_score"}};
constexpr EnumName<Grid> kGrids[] = {{Grid::none, "none"}, {Grid::yolox, "yolox"}};

}  // namespace

void fields(Fields& f, BoxOutputs& s) {
  f.unless(std::string(), "boxes", s.boxes);
  f.unless(std::string(), "scores", s.scores);
  f.unless(std::string(), "classes", s.classes);
  f.unless(std::string(), "count", s.count);
  f.unless(std::string(), "joined", s.joined);
}

void BoxSettings::describe(Fields& f) {
  f("outputs", outputs);
  enum_field(f, "box_form", format, kBoxFormats, "box_form");
  enum_field(f, "box_unit", unit, kBoxUnits, "box_unit");
  enum_field(f, "class_numbers", class_numbers, kClassNumbers, "class_numbers");
  enum_field(f, "score_form", score_form, kScoreForms, "score_form");
  enum_field(f, "background", background, kBackgrounds, "background");
  std::string joined_name = name_in(kJoinedForms, joined_form);
  f.unless(std::string("scores"), "joined_form", joined_name);
  joined_form = value_named(kJoinedForms, joined_name, "joined_form", "joined_form");
  std::string grid_name = name_in(kGrids, grid);
  f.unless(std::string("none"), "grid", grid_name);
  grid = value_named(kGrids, grid_name, "grid", "grid");
  f("objectness", objectness);
  f("suppressed", suppressed);
}

BoxSettings& box_settings(const ModelFile& model) {
  if (auto* own = dynamic_cast<BoxSettings*>(model.own.get())) return *own;
  throw Error(model.name, "is no model file of a network that gives boxes");
}

void check_boxes(const ModelFile& model, const std::string& where) {
  const BoxSettings& s = box_settings(model);
  const BoxOutputs& o = s.outputs;
  if (o.joined.empty()) {
    need(!o.boxes.empty(), "outputs.boxes", "must name the node that gives the boxes", where);
    need(!o.scores.empty(), "outputs.scores", "must name the node that gives the scores", where);
    need(!s.objectness, "objectness", "is read from outputs.joined", where);
  } else {
    need(o.boxes.empty() && o.scores.empty() && o.count.empty() && (o.classes.empty() || s.joined_form == JoinedForm::score),
         "outputs.joined", "stands for all outputs: leave out the others", where);
    need(s.joined_form != JoinedForm::score || !o.classes.empty(), "outputs.classes",
         "must name the node that gives the classes: joined_form is score", where);
  }
  need(s.grid == Grid::none || (!o.joined.empty() && s.format == BoxFormat::cxcywh && s.unit == BoxUnit::pixels), "grid",
       "is of outputs.joined, box_form cxcywh and box_unit pixels", where);
  const bool names_class = !o.classes.empty() || s.joined_form != JoinedForm::scores;
  need(s.joined_form == JoinedForm::scores || (!o.joined.empty() && !s.objectness && s.grid == Grid::none), "joined_form",
       name_in(kJoinedForms, s.joined_form) + std::string(" is of outputs.joined, without objectness and grid"), where);
  const bool scores_each_class = !names_class && model.class_count() > 1;
  need(!scores_each_class || !s.suppressed, "suppressed", "must be false: boxes with a score for each class overlap", where);
  const bool about_each_class = s.background != Background::none || s.score_form == ScoreForm::softmax;
  need(!names_class || !about_each_class, "background", "and softmax are about scores for each class, without outputs.classes",
       where);
}

}  // namespace cytodet::models
