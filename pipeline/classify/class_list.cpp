#include "pipeline/classify/class_list.h"

#include <algorithm>
#include <cstdio>

#include "core/enum_names.h"
#include "core/error.h"
#include "core/settings.h"
#include "core/shortest_number.h"
#include "core/text_width.h"
#include "eval/top_k.h"
#include "pipeline/results/formats/csv_cells.h"

namespace cytodet::pipeline {
namespace {

constexpr EnumName<ClassListFormat> kFormats[] = {
    {ClassListFormat::text, "text"}, {ClassListFormat::json, "json"}, {ClassListFormat::csv, "csv"}};

}  // namespace

ClassListFormat class_list_format_named(const std::string& name) { return value_named(kFormats, name, "--format", "form"); }

ClassList::ClassList(ClassListFormat format, int top, const std::vector<LabelledImage>& images,
                     const std::vector<std::string>& classes)
    : format_(format), top_(std::min(top, static_cast<int>(classes.size()))), images_(images), classes_(classes) {}

std::string ClassList::line(const ClassifiedImage& image, const std::vector<int>& best) const {
  std::string text = printable(images_[image.index].name) + ":";
  for (size_t i = 0; i < best.size(); ++i) {
    const auto c = static_cast<size_t>(best[i]);
    char score[32];
    std::snprintf(score, sizeof score, " %.4f", static_cast<double>(image.scores[c]));
    text += (i ? ", " : " ") + printable(classes_[c]) + score;
  }
  return text + "\n";
}

std::string ClassList::csv_row(const ClassifiedImage& image, const std::vector<int>& best) const {
  std::string row = csv_field(spreadsheet_text(images_[image.index].name)) + "," + csv_field(spreadsheet_text(image.label));
  for (const int c : best)
    row += "," + csv_field(spreadsheet_text(classes_[static_cast<size_t>(c)])) + "," +
           shortest(image.scores[static_cast<size_t>(c)]);
  return row + "\n";
}

Json ClassList::json_of(const ClassifiedImage& image, const std::vector<int>& best) const {
  Json j{{"file", images_[image.index].name}};
  if (!image.label.empty()) j["label"] = image.label;
  if (!image.problem.empty()) {
    j["problem"] = image.problem;
    return j;
  }
  j["top"] = Json::array();
  for (const int c : best)
    j["top"].push_back({{"class", classes_[static_cast<size_t>(c)]},
                        {"channel", c},
                        {"score", shortest_double(image.scores[static_cast<size_t>(c)])}});
  return j;
}

std::string ClassList::add(const ClassifiedBatch& batch) {
  std::string text;
  for (const ClassifiedImage& image : batch.images) {
    const std::vector<int> best = image.problem.empty() ? top_k(image.scores, top_) : std::vector<int>();
    if (format_ == ClassListFormat::json)
      all_.push_back(json_of(image, best));
    else if (image.problem.empty())
      text += format_ == ClassListFormat::csv ? csv_row(image, best) : line(image, best);
  }
  return text;
}

std::string ClassList::begin() const {
  if (format_ != ClassListFormat::csv) return "";
  std::string heading = "filename,actual,prediction,score";
  for (int i = 2; i <= top_; ++i) heading += ",prediction_" + std::to_string(i) + ",score_" + std::to_string(i);
  return heading + "\n";
}

std::string ClassList::end(const std::string& model) const {
  if (format_ != ClassListFormat::json) return "";
  return json_text(Json{{"model", model}, {"images", all_}});
}

}  // namespace cytodet::pipeline
