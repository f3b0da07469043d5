#include "eval/results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace cytodet::eval {

void append_coco_result(std::string& text, int64_t image_id, int64_t category_id, const Detection& d) {
  append_coco_result(text, std::to_string(image_id), std::to_string(category_id), d);
}

void append_coco_result(std::string& text, std::string_view image_id, std::string_view category_id, const Detection& d) {
  char line[256];
  std::snprintf(line, sizeof line, ",\"bbox\":[%.3f,%.3f,%.3f,%.3f],\"score\":%.9g}", d.box.x0, d.box.y0, d.box.width(),
                d.box.height(), static_cast<double>(d.score));
  ((((text += "{\"image_id\":") += image_id) += ",\"category_id\":") += category_id) += line;
}

void append_competition_result(std::string& text, const Detection& d) {
  long long x = std::llround(d.box.x0), y = std::llround(d.box.y0);
  char line[160];
  std::snprintf(line, sizeof line, "{\"x\":%lld,\"y\":%lld,\"w\":%lld,\"h\":%lld,\"p\":%.5f}", x, y,
                std::max(1LL, std::llround(d.box.x1) - x), std::max(1LL, std::llround(d.box.y1) - y),
                static_cast<double>(d.score));
  text += line;
}

CocoResultsWriter::CocoResultsWriter(std::vector<int> category_ids, const std::filesystem::path& path)
    : category_ids_(std::move(category_ids)), file_(path) {}

void CocoResultsWriter::add(int64_t image_id, const Detection& d) {
  std::string text = first_ ? "[\n" : ",\n";
  append_coco_result(text, image_id, category_ids_.at(static_cast<size_t>(d.category)), d);
  file_.write(text);
  first_ = false;
}

void CocoResultsWriter::add(const std::string& image_id, const std::string& more, const std::string& category_id,
                            const Detection& d) {
  std::string text = first_ ? "[\n" : ",\n";
  append_coco_result(text, image_id + more, category_id, d);
  file_.write(text);
  first_ = false;
}

void CocoResultsWriter::finish() {
  file_.write(first_ ? "[]\n" : "\n]\n");
  file_.commit();
}

void write_coco_results(const std::vector<ImageDetections>& images, const std::vector<int>& category_ids,
                        const std::filesystem::path& path) {
  CocoResultsWriter writer(category_ids, path);
  for (const ImageDetections& image : images)
    for (const Detection& d : image.detections) writer.add(image.image_id, d);
  writer.finish();
}

void write_competition_results(const Detections& detections, const std::filesystem::path& path) {
  AtomicFile file(path);
  std::string text = "[";
  bool any = false;
  for (const Detection& d : detections) {
    if (any) text = ",\n";
    any = true;
    append_competition_result(text, d);
    file.write(text);
  }
  file.write(any ? "]\n" : "[]\n");
  file.commit();
}

}  // namespace cytodet::eval
