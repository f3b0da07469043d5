#include "eval/results.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace cytodet::eval {
namespace {

// Appends v as printf writes it with "%.<digits>f" or "%.<digits>g" in the C locale: in another one printf puts a comma into
// JSON.
void append_number(std::string& text, double v, std::chars_format format, int digits) {
  char buffer[400];  // the largest double has 309 digits before the point
  text.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, v, format, digits).ptr);
}

}  // namespace

void append_coco_result(std::string& text, int64_t image_id, int64_t category_id, const Detection& d) {
  append_coco_result(text, std::to_string(image_id), std::to_string(category_id), d);
}

void append_coco_result(std::string& text, std::string_view image_id, std::string_view category_id, const Detection& d) {
  ((((text += "{\"image_id\":") += image_id) += ",\"category_id\":") += category_id) += ",\"bbox\":[";
  for (const double v : {d.box.x0, d.box.y0, d.box.width(), d.box.height()}) {
    append_number(text, v, std::chars_format::fixed, 3);
    text += ',';
  }
  text.back() = ']';
  append_number(text += ",\"score\":", static_cast<double>(d.score), std::chars_format::general, 9);
  text += '}';
}

void append_to_box_list(std::string& text, const Detection& d) {
  const long long x = std::llround(d.box.x0), y = std::llround(d.box.y0);
  const long long w = std::max(1LL, std::llround(d.box.x1) - x), h = std::max(1LL, std::llround(d.box.y1) - y);
  text += "{\"x\":" + std::to_string(x) + ",\"y\":" + std::to_string(y) + ",\"w\":" + std::to_string(w) +
          ",\"h\":" + std::to_string(h) + ",\"p\":";
  append_number(text, static_cast<double>(d.score), std::chars_format::fixed, 5);
  text += '}';
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

void write_box_list(const Detections& detections, const std::filesystem::path& path) {
  AtomicFile file(path);
  std::string text = "[";
  bool any = false;
  for (const Detection& d : detections) {
    if (any) text = ",\n";
    any = true;
    append_to_box_list(text, d);
    file.write(text);
  }
  file.write(any ? "]\n" : "[]\n");
  file.commit();
}

}  // namespace cytodet::eval
