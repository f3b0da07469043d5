#include "pipeline/results/boxes_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"

namespace cytodet::pipeline {
namespace {

constexpr size_t kRecord = 4 * 8 + 4 + 4;  // bytes
constexpr size_t kMaxHeader = size_t{1} << 20;
static_assert(std::endian::native == std::endian::little);

}  // namespace

void fields(Fields& f, BoxesHeader& s) {
  f("format", s.format);
  f("settings_hash", s.settings_hash);
  f("slide_bytes", s.slide_bytes);
  f("slide_time_ns", s.slide_time_ns);
  f("slide_hash", s.slide_hash);
  f("pictures", s.image_options);
  f("slide", s.slide);
}

void write_boxes(const BoxesHeader& header, const Detections& detections, const std::filesystem::path& path) {
  BoxesHeader h = header;
  h.slide.detection_count = static_cast<int64_t>(detections.size());
  h.slide.times = {};
  h.slide.index = h.slide.image_id = 0;
  h.slide.files.clear();
  AtomicFile file(path);
  file.write(json_line(write_settings(h)) + "\n");
  char record[kRecord];
  for (const Detection& d : detections) {
    const double corners[4] = {d.box.x0, d.box.y0, d.box.x1, d.box.y1};
    const auto category = static_cast<int32_t>(d.category);
    std::memcpy(record, corners, 32);
    std::memcpy(record + 32, &category, 4);
    std::memcpy(record + 36, &d.score, 4);
    file.write({record, kRecord});
  }
  file.commit();
}

BoxesReader::BoxesReader(const std::filesystem::path& path) : path_(path), file_(path, std::ios::binary) {
  if (!file_) throw Error(path.string(), "cannot open: " + std::string(std::strerror(errno)), "detect again with --resume");
  std::string line;
  for (int c; (c = file_.get()) != '\n';) {
    if (c == EOF || line.size() >= kMaxHeader) damaged("has no header");
    line.push_back(static_cast<char>(c));
  }
  read_settings(parse_json(line, path.string()), header_, path.string());
  if (header_.format != BoxesHeader{}.format) damaged("is of another form, \"" + header_.format + "\"");
  check(header_.slide, path.string());
  left_ = header_.slide.detection_count;
  std::error_code error;
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path, error));
  const int64_t wanted = bytes - static_cast<int64_t>(line.size()) - 1;
  if (error || left_ > bytes || wanted != left_ * static_cast<int64_t>(kRecord)) damaged("is cut short");
}

void BoxesReader::damaged(const std::string& what) const { throw Error(path_.string(), what, "detect again with --resume"); }

bool BoxesReader::next(Detection& d) {
  if (left_ == 0) return false;
  char record[kRecord];
  if (!file_.read(record, kRecord)) damaged("cannot be read");
  double corners[4];
  int32_t category = 0;
  std::memcpy(corners, record, 32);
  std::memcpy(&category, record + 32, 4);
  std::memcpy(&d.score, record + 36, 4);
  d.box = {corners[0], corners[1], corners[2], corners[3]};
  d.category = category;
  const bool sound = std::all_of(corners, corners + 4, [](double v) { return std::isfinite(v); }) && d.box.x0 <= d.box.x1 &&
                     d.box.y0 <= d.box.y1 && category >= 0 && std::isfinite(d.score);
  if (!sound) damaged("holds a box that cannot be");
  --left_;
  return true;
}

}  // namespace cytodet::pipeline
