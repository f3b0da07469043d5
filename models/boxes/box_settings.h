// The keys of a model file of a network that gives boxes, scores and classes itself, as the exports of TensorFlow's
// object-detection API do.
#pragma once

#include <string>

#include "models/common/scores.h"
#include "models/model_file.h"

namespace cytodet::models {

// What the four numbers of a box are.
enum class BoxFormat { yxyx, xyxy, xywh, cxcywh };  // two corners; left, top and sides; centre and sides
enum class BoxUnit { share, pixels };               // of the input's height and width; pixels of the input
enum class ClassNumbers { category_ids, channels };
enum class Background { none, first, last };  // where the scores of a box have one of "nothing"
// What the four numbers of a box are relative to: nothing; or a cell of one of the grids of strides 8, 16 and 32, whose rows
// follow each other, as YOLOX leaves them: x = (v0 + column) * stride, y = (v1 + row) * stride, width = exp(v2) * stride, height
// = exp(v3) * stride (Ge et al., "YOLOX", 2021).
enum class Grid { none, yolox };

// What a row of `joined` holds: a box and a score for each class; box, score and class; box and score, the class in `classes`;
// the number of the image in its batch, box, class and score.
enum class JoinedForm { scores, score_and_class, score, image_class_score };

struct BoxOutputs {
  std::string boxes, scores;   // nodes: [1, n, 4]; [1, n], or without `classes` [1, n, classes]
  std::string classes, count;  // nodes: [1, n], numbers of classes; [1], how many of the n count. Empty: none
  // Instead of all of them: a node of [1, n, width] or [1, width, n], width = 4 of the box, 1 of objectness, scores; or what
  // JoinedForm says, one form of which has `classes` beside it.
  std::string joined;
};
void fields(Fields& f, BoxOutputs& s);

struct BoxSettings : FamilySettings {
  BoxOutputs outputs;
  BoxFormat format = BoxFormat::yxyx;
  BoxUnit unit = BoxUnit::share;
  ClassNumbers class_numbers = ClassNumbers::category_ids;  // what `classes` gives: ids, or places in the list of classes
  ScoreForm score_form = ScoreForm::probability;
  Background background = Background::none;
  JoinedForm joined_form = JoinedForm::scores;
  Grid grid = Grid::none;   // of `joined`
  bool objectness = false;  // in `joined`, behind the box: the probability of any object, which multiplies the scores
  bool suppressed = true;   // by the network itself

  const char* family() const override { return "boxes"; }
  std::unique_ptr<FamilySettings> clone() const override { return std::make_unique<BoxSettings>(*this); }
  void describe(Fields& f) override;
};
// The settings of a model file. Throws Error when its family is another one.
BoxSettings& box_settings(const ModelFile& model);

// Throws UsageError with `where` and the key.
void check_boxes(const ModelFile& model, const std::string& where);

}  // namespace cytodet::models
