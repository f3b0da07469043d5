// QuPath's form of GeoJSON: a FeatureCollection of detections, each a closed rectangle or its middle in level-0 pixels, with a
// class of the colour that the images use, the score among its measurements, and an id. Coordinates count from the corner of what
// was scanned, as QuPath's do (Origin).
#include <array>

#include "core/hash.h"
#include "pipeline/results/formats/output_entries.h"
#include "pipeline/results/formats/text_file.h"
#include "tiling/tiles/region.h"

namespace cytodet::pipeline {
namespace {

uint64_t mix(uint64_t x) {  // splitmix64, a bijection
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t hash(std::string_view s) {
  Fnv1a h;
  h.bytes(s.data(), s.size());
  return h.value();
}

// RFC 9562, version 8: made from the image and the place in the list, so that the same results give the same file.
void append_uuid(std::string& text, uint64_t seed, uint64_t index) {
  static constexpr char kHex[] = "0123456789abcdef";
  uint64_t high = mix(seed ^ mix(index)), low = mix(seed + index);
  high = (high & ~uint64_t{0xf000}) | 0x8000;
  low = (low & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);
  char out[36];
  int at = 0;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) out[at++] = '-';
    const uint64_t half = nibble < 16 ? high : low;
    out[at++] = kHex[half >> (60 - 4 * (nibble % 16)) & 15];
  }
  text.append(out, sizeof out);
}

enum class Geometry { rectangle, centre };

class GeoJson : public OutputFile {
 public:
  GeoJson(const OutputImage& p, const OutputSettings& s, const std::filesystem::path& to, bool gzip,
          Geometry geometry = Geometry::rectangle)
      : file_(to, gzip),
        geometry_(geometry),
        classes_(*p.classes),
        corner_(frame_corner(p.bounds, s.origin)),
        seed_(hash(p.name) ^ mix(static_cast<uint64_t>(p.image_id))) {
    file_.text() += R"({"type":"FeatureCollection","features":[)";
  }

  void add(const Detection& d) override {
    std::string& t = file_.text();
    t += index_ ? ",\n" : "\n";
    t += R"({"type":"Feature","id":")";
    append_uuid(t, seed_, index_++);
    t += R"(","geometry":{"type":)";
    if (geometry_ == Geometry::centre)
      append_point(t, (d.box.x0 + d.box.x1) / 2 - corner_[0], (d.box.y0 + d.box.y1) / 2 - corner_[1]);
    else
      append_rectangle(t, d.box);
    t += R"(},"properties":{"objectType":"detection","classification":)";
    t += classification(d.category);
    t += R"(,"measurements":{"score":)";
    append_number(t, d.score);
    t += "}}}";
    file_.flush_if_full();
  }

  void finish() override {
    file_.text() += "\n]}\n";
    file_.commit();
  }

 private:
  void append_point(std::string& t, double x, double y) {
    t += R"("Point","coordinates":[)";
    append_fixed(t, x, 2);
    t += ',';
    append_fixed(t, y, 2);
    t += ']';
  }

  void append_rectangle(std::string& t, const Box& box) {
    t += R"("Polygon","coordinates":[[)";
    std::array<std::string*, 4> side{&x0_, &y0_, &x1_, &y1_};
    const std::array<double, 4> value{box.x0 - corner_[0], box.y0 - corner_[1], box.x1 - corner_[0], box.y1 - corner_[1]};
    for (size_t i = 0; i < 4; ++i) {
      side[i]->clear();
      append_fixed(*side[i], value[i], 2);
    }
    for (const auto& [x, y] : {std::pair{&x0_, &y0_}, {&x1_, &y0_}, {&x1_, &y1_}, {&x0_, &y1_}})
      t.append("[").append(*x).append(",").append(*y).append("],");
    t.append("[").append(x0_).append(",").append(y0_).append("]]]");
  }

  const std::string& classification(int category) {
    while (texts_.size() <= static_cast<size_t>(category)) {
      const int c = static_cast<int>(texts_.size());
      std::string& t = texts_.emplace_back(R"({"name":)");
      append_json_string(t, classes_[c].name);
      const auto colour = class_colour(c);
      t += ",\"color\":[";
      for (size_t k = 0; k < 3; ++k) {
        if (k) t += ',';
        append_number(t, int64_t{colour[k]});
      }
      t += "]}";
    }
    return texts_[static_cast<size_t>(category)];
  }

  TextFile file_;
  Geometry geometry_;
  const Classes& classes_;
  std::array<double, 2> corner_;
  uint64_t seed_, index_ = 0;
  std::vector<std::string> texts_;
  std::string x0_, y0_, x1_, y1_;
};

}  // namespace

std::unique_ptr<OutputFile> open_geojson(const OutputImage& p, const OutputSettings& s, const std::filesystem::path& to) {
  return std::make_unique<GeoJson>(p, s, to, false);
}
std::unique_ptr<OutputFile> open_geojson_gz(const OutputImage& p, const OutputSettings& s, const std::filesystem::path& to) {
  return std::make_unique<GeoJson>(p, s, to, true);
}

std::unique_ptr<OutputFile> open_geojson_points(const OutputImage& p, const OutputSettings& s, const std::filesystem::path& to) {
  return std::make_unique<GeoJson>(p, s, to, false, Geometry::centre);
}

}  // namespace cytodet::pipeline
