#include "models/common/operating_scores.h"

#include "core/settings.h"
#include "models/common/need.h"

namespace cytodet::models {

void fields(Fields& f, FigureReached& s) {
  f("value", s.value);
  f("low", s.low);
  f("high", s.high);
}

void fields(Fields& f, OperatingScore& s) {
  f("name", s.name);
  f("score", s.score);
  f("low", s.low);
  f("high", s.high);
  f.unless(std::string(), "problem", s.problem);
  f("precision", s.precision);
  f("recall", s.recall);
  f("f1", s.f1);
  f("false_positives_per_image", s.false_positives_per_image);
}

void fields(Fields& f, OperatingScores& s) {
  f("rule", s.rule);
  f("iou", s.iou);
  f("truth", s.truth);
  f("data_hash", s.data_hash);
  f("graph_hash", s.graph_hash);
  f("images", s.images);
  f("resamples", s.resamples);
  f("level", s.level);
  f("classes", s.classes);
}

void check(const OperatingScores& s, const std::vector<std::string>& classes, const std::string& where) {
  need(s.classes.size() == classes.size(), "operating_scores.classes", "must have one entry per class", where);
  for (size_t c = 0; c < classes.size(); ++c) {
    need(s.classes[c].name == classes[c], "operating_scores.classes",
         "must be in the order of the classes: \"" + s.classes[c].name + "\" stands where \"" + classes[c] + "\" does", where);
    need(s.classes[c].score >= 0 && s.classes[c].score <= 1, "operating_scores.classes.score", "must be 0 to 1", where);
  }
}

}  // namespace cytodet::models
