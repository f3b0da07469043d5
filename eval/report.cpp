#include <cstdio>

#include "core/settings.h"
#include "core/text_width.h"
#include "eval/coco.h"

namespace cytodet::eval {
namespace {

std::string line(const char* title, const char* kind, const char* iou, const char* area, int max_dets, double value) {
  char text[160];
  std::snprintf(text, sizeof text, " %-18s %s @[ IoU=%-9s | area=%6s | maxDets=%3d ] = %0.3f\n", title, kind, iou, area, max_dets,
                value);
  return text;
}

Json number(double v) { return v < 0 ? Json(-1) : Json(v); }

}  // namespace

std::string to_text(const Scores& s) {
  static const char* const kAreas[] = {"small", "medium", "large"};
  const int last = s.max_dets.back();
  const size_t m = s.max_dets.size();
  std::string text = line("Average Precision", "(AP)", "0.50:0.95", "all", last, s.stats[0]) +
                     line("Average Precision", "(AP)", "0.50", "all", last, s.stats[1]) +
                     line("Average Precision", "(AP)", "0.75", "all", last, s.stats[2]);
  for (size_t a = 0; a < 3; ++a) text += line("Average Precision", "(AP)", "0.50:0.95", kAreas[a], last, s.stats[3 + a]);
  for (size_t i = 0; i < m; ++i) text += line("Average Recall", "(AR)", "0.50:0.95", "all", s.max_dets[i], s.stats[6 + i]);
  for (size_t a = 0; a < 3; ++a) text += line("Average Recall", "(AR)", "0.50:0.95", kAreas[a], last, s.stats[6 + m + a]);
  return text;
}

std::string class_table(const Scores& s) {
  constexpr size_t kNameColumns = 20;
  char text[200];
  std::snprintf(text, sizeof text, " %8s %7s %7s %7s %7s %8s %8s\n", "truths", "AP", "AP50", "AP75", "AR", "VOC2007", "VOC2010");
  std::string table = left_aligned("class", kNameColumns) + text;
  for (const ClassScores& c : s.classes) {
    std::snprintf(text, sizeof text, " %8lld %7.4f %7.4f %7.4f %7.4f %8.4f %8.4f\n", static_cast<long long>(c.truths), c.ap,
                  c.ap50, c.ap75, c.ar, c.voc2007, c.voc2010);
    table += left_aligned(c.name, kNameColumns) + text;
  }
  return table;
}

Json to_json(const Scores& s, bool curves) {
  static const char* const kNames[] = {"AP", "AP50", "AP75", "APs", "APm", "APl"};
  Json j;
  Json& stats = j["stats"] = Json::object();
  for (size_t i = 0; i < 6; ++i) stats[kNames[i]] = s.stats[i];
  for (size_t i = 0; i < s.max_dets.size(); ++i) stats["AR" + std::to_string(s.max_dets[i])] = s.stats[6 + i];
  static const char* const kAreas[] = {"ARs", "ARm", "ARl"};
  for (size_t a = 0; a < 3; ++a) stats[kAreas[a]] = s.stats[6 + s.max_dets.size() + a];
  j["voc2007"] = number(s.voc2007);
  j["voc2010"] = number(s.voc2010);
  j["max_dets"] = s.max_dets;
  j["classes"] = Json::array();
  for (const ClassScores& c : s.classes) {
    Json k{{"name", c.name}, {"truths", c.truths}, {"AP", c.ap},           {"AP50", c.ap50},
           {"AP75", c.ap75}, {"AR", c.ar},         {"voc2007", c.voc2007}, {"voc2010", c.voc2010}};
    if (curves) k["precision"] = c.precision;
    j["classes"].push_back(std::move(k));
  }
  if (curves) {
    Json thresholds = Json::array(), recalls = Json::array();
    for (int i = 0; i < 10; ++i) thresholds.push_back(0.5 + i * 0.05);
    for (int i = 0; i <= 100; ++i) recalls.push_back(i / 100.0);
    j["curves"] = {{"iou_thresholds", thresholds}, {"recalls", recalls}, {"axes", "classes[].precision[iou][recall]"}};
  }
  j["warnings"] = s.warnings;
  return j;
}

}  // namespace cytodet::eval
