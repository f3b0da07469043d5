#include "pipeline/tune/detection_cache.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/file.h"
#include "core/hash.h"

namespace cytodet::pipeline {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kRecord = 5 * 8 + 3 * 4, kDigest = 16;

template <class T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T take(const char*& at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return value;
}

std::string first_line(const std::string& key, bool tiled, size_t count) {
  return "cytodet raw 1 " + key + (tiled ? " 1 " : " 0 ") + std::to_string(count) + "\n";
}

[[noreturn]] void damaged(const std::string& where, const std::string& what) {
  throw Error(where, "is not what tune wrote: " + what, "delete it");
}

}  // namespace

void write_raw(const RawDetections& raw, const std::string& key, const std::filesystem::path& path) {
  std::string bytes = first_line(key, raw.tiled, raw.found.size());
  bytes.reserve(bytes.size() + raw.found.size() * kRecord + kDigest);
  for (const RawDetection& r : raw.found) {
    const Box& b = r.detection.box;
    for (double v : {b.x0, b.y0, b.x1, b.y1, r.inner_edge_px}) put(bytes, v);
    put(bytes, static_cast<int32_t>(r.detection.category));
    put(bytes, static_cast<int32_t>(r.tile));
    put(bytes, r.detection.score);
  }
  bytes += Hash().add(bytes).text();
  write_file(path, bytes);
}

RawDetections parse_raw(std::string_view bytes, const std::string& where, const std::string& key) {
  const size_t end = bytes.substr(0, 200).find('\n');
  if (end == std::string_view::npos) damaged(where, "its first line is missing");
  const std::string_view line = bytes.substr(0, end + 1);
  size_t count = 0;
  const char* digits = line.data() + line.rfind(' ', end) + 1;
  std::from_chars(digits, line.data() + end, count);
  RawDetections raw;
  raw.tiled = line == first_line(key, true, count);
  if (!raw.tiled && line != first_line(key, false, count)) damaged(where, "its first line is that of something else");
  const size_t rest = bytes.size() - line.size();
  if (rest < kDigest || (rest - kDigest) % kRecord || (rest - kDigest) / kRecord != count) damaged(where, "it is cut short");
  const std::string_view body = bytes.substr(0, bytes.size() - kDigest);
  if (Hash().add(body).text() != bytes.substr(body.size())) damaged(where, "its bytes have changed");
  raw.found.resize(count);
  const char* at = body.data() + line.size();
  for (RawDetection& r : raw.found) {
    Box& b = r.detection.box;
    for (double* v : {&b.x0, &b.y0, &b.x1, &b.y1, &r.inner_edge_px}) *v = take<double>(at);
    r.detection.category = take<int32_t>(at);
    r.tile = take<int32_t>(at);
    r.detection.score = take<float>(at);
    const bool finite = std::isfinite(b.x0) && std::isfinite(b.y0) && std::isfinite(b.x1) && std::isfinite(b.y1);
    if (!finite || b.x0 > b.x1 || b.y0 > b.y1 || !(r.inner_edge_px >= 0) || r.detection.category < 0 || r.tile < 0 ||
        !(r.detection.score >= 0 && r.detection.score <= 1))
      damaged(where, "it holds a box that cannot be");
  }
  return raw;
}

RawDetections read_raw(const std::filesystem::path& path, const std::string& key) {
  return parse_raw(read_file(path), path.string(), key);
}

}  // namespace cytodet::pipeline
