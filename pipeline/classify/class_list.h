// The best classes of images as text, JSON or CSV.
#pragma once

#include <string>
#include <vector>

#include "core/settings.h"
#include "pipeline/classify/classify.h"

namespace cytodet::pipeline {

enum class ClassListFormat { text, json, csv };
// Throws UsageError with the known ones.
ClassListFormat class_list_format_named(const std::string& name);

// Grows batch by batch. Images that could not be read are in JSON with their problem, and in no other form.
class ClassList {
 public:
  // `images` and `classes` must outlive it; top: classes per image.
  ClassList(ClassListFormat format, int top, const std::vector<LabelledImage>& images, const std::vector<std::string>& classes);

  // The text of a batch: lines in text and CSV; JSON comes whole at the end.
  std::string add(const ClassifiedBatch& batch);
  // What comes before all (CSV's heading) and behind.
  std::string begin() const;
  std::string end(const std::string& model) const;

 private:
  std::string line(const ClassifiedImage& image, const std::vector<int>& best) const;
  std::string csv_row(const ClassifiedImage& image, const std::vector<int>& best) const;
  Json json_of(const ClassifiedImage& image, const std::vector<int>& best) const;

  const ClassListFormat format_;
  const int top_;
  const std::vector<LabelledImage>& images_;
  const std::vector<std::string>& classes_;
  Json all_ = Json::array();
};

}  // namespace cytodet::pipeline
