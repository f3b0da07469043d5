#include "eval/results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace cytodet {

CocoResultsWriter::CocoResultsWriter(std::vector<int> category_ids, const std::filesystem::path& path)
    : category_ids_(std::move(category_ids)), file_(path) {}

void CocoResultsWriter::add(int64_t image_id, const Detection& d) {
  char text[256];
  std::snprintf(text, sizeof text, "%s{\"image_id\":%lld,\"category_id\":%d,\"bbox\":[%.3f,%.3f,%.3f,%.3f],\"score\":%.9g}",
                first_ ? "[\n" : ",\n", static_cast<long long>(image_id), category_ids_.at(static_cast<size_t>(d.category)),
                d.box.x0, d.box.y0, d.box.width(), d.box.height(), static_cast<double>(d.score));
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
  const char* separator = "[";
  char text[160];
  for (const Detection& d : detections) {
    long long x = std::llround(d.box.x0), y = std::llround(d.box.y0);
    std::snprintf(text, sizeof text, "%s{\"x\":%lld,\"y\":%lld,\"w\":%lld,\"h\":%lld,\"p\":%.5f}", separator, x, y,
                  std::max(1LL, std::llround(d.box.x1) - x), std::max(1LL, std::llround(d.box.y1) - y),
                  static_cast<double>(d.score));
    file.write(text);
    separator = ",\n";
  }
  file.write(separator[0] == '[' ? "[]\n" : "]\n");
  file.commit();
}

}  // namespace cytodet
