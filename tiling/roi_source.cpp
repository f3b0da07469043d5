#include <cmath>

#include "core/error.h"
#include "core/file.h"
#include "core/gzip.h"
#include "core/settings.h"
#include "tiling/roi.h"

namespace cytodet {
namespace {

constexpr size_t kMaxPoints = 1'000'000;
constexpr int64_t kMaxBytes = int64_t{256} << 20;  // of a file, and of what it unpacks to
constexpr double kFarthest = 1e9;                  // pixels

class Reader {
 public:
  explicit Reader(std::string where) : where_(std::move(where)) {}

  Roi roi;

  double number(const Json& j, const std::string& at) const {
    if (!j.is_number() || !(std::abs(j.get<double>()) <= kFarthest)) bad(at, "must be a number of pixels");
    return j.get<double>();
  }
  const Json& member(const Json& j, const char* key, const std::string& at) const {
    if (!j.is_object() || !j.contains(key)) bad(at, std::string("lacks \"") + key + "\"");
    return j[key];
  }
  [[noreturn]] void bad(const std::string& at, const std::string& what) const {
    throw Error(where_ + (at.empty() ? "" : ": " + at), what, "see docs/slides.md for the forms of regions");
  }

  void polygon(const Json& rings, const std::string& at) {
    if (!rings.is_array()) bad(at, "must be an array of rings");
    std::vector<Roi::Ring> all;
    for (size_t r = 0; r < rings.size(); ++r) {
      const std::string here = at + "[" + std::to_string(r) + "]";
      if (!rings[r].is_array() || rings[r].size() < 3) bad(here, "must be a ring of at least 3 points");
      Roi::Ring& ring = all.emplace_back();
      for (const Json& point : rings[r]) {
        if (++points_ > kMaxPoints) bad("", "holds more than " + std::to_string(kMaxPoints) + " points");
        if (!point.is_array() || point.size() < 2) bad(here, "holds a point that is not [x, y]");
        ring.push_back({number(point[0], here), number(point[1], here)});
      }
    }
    roi.add(all);
  }

  void geometry(const Json& g, const std::string& at) {
    if (g.is_null()) return;
    const Json& type = member(g, "type", at);
    if (type == "Polygon") {
      polygon(member(g, "coordinates", at), at + ".coordinates");
    } else if (type == "MultiPolygon") {
      const Json& parts = member(g, "coordinates", at);
      if (!parts.is_array()) bad(at + ".coordinates", "must be an array of polygons");
      for (size_t i = 0; i < parts.size(); ++i) polygon(parts[i], at + ".coordinates[" + std::to_string(i) + "]");
    } else if (type == "GeometryCollection") {
      list(member(g, "geometries", at), at + ".geometries", [&](const Json& j, const std::string& here) { geometry(j, here); });
    }
  }

  void feature(const Json& j, const std::string& at) {
    const Json& type = member(j, "type", at);
    if (type == "FeatureCollection") {
      list(member(j, "features", at), at.empty() ? "features" : at + ".features",
           [&](const Json& f, const std::string& here) { feature(f, here); });
    } else if (type == "Feature") {
      if (auto p = j.find("properties"); p != j.end() && p->is_object())
        if (auto o = p->find("objectType"); o != p->end() && (*o == "detection" || *o == "cell" || *o == "tile")) return;
      geometry(member(j, "geometry", at), at.empty() ? "geometry" : at + ".geometry");
    } else {
      geometry(j, at);
    }
  }

  template <class Each>
  void list(const Json& j, const std::string& at, Each each) const {
    if (!j.is_array()) bad(at, "must be an array");
    for (size_t i = 0; i < j.size(); ++i) each(j[i], at + "[" + std::to_string(i) + "]");
  }

  Box box(const Json& x, const Json& y, const Json& w, const Json& h, const std::string& at) const {
    Box b{number(x, at), number(y, at), 0, 0};
    b.x1 = b.x0 + number(w, at);
    b.y1 = b.y0 + number(h, at);
    if (b.x1 <= b.x0 || b.y1 <= b.y0) bad(at, "is a region without area");
    return b;
  }

  // An array of the competition's boxes, or of GeoJSON features.
  void array(const Json& j) {
    list(j, "", [&](const Json& item, const std::string& at) {
      if (!item.is_object()) bad(at, "must be an object");
      if (item.contains("type")) {
        feature(item, at);
      } else if (member(item, "class", at) == "roi" || item["class"] == "ROI") {
        roi.add(box(member(item, "x", at), member(item, "y", at), member(item, "w", at), member(item, "h", at), at));
        if (++points_ > kMaxPoints) bad("", "holds too many regions");
      }
    });
  }

 private:
  std::string where_;
  size_t points_ = 0;
};

std::map<std::string, Roi> coco_regions(const Json& j, Reader& read) {
  std::map<int64_t, std::string> images;
  std::map<int64_t, bool> wanted;
  auto id = [&](const Json& item, const char* key, const std::string& at) {
    const Json& v = read.member(item, key, at);
    if (!v.is_number_integer()) read.bad(at + "." + key, "must be a whole number");
    return v.get<int64_t>();
  };
  auto text = [&](const Json& item, const char* key, const std::string& at) {
    const Json& v = read.member(item, key, at);
    if (!v.is_string()) read.bad(at + "." + key, "must be a string");
    return v.get<std::string>();
  };
  read.list(read.member(j, "images", ""), "images", [&](const Json& item, const std::string& at) {
    images[id(item, "id", at)] = std::filesystem::path(text(item, "file_name", at)).filename().string();
  });
  read.list(read.member(j, "categories", ""), "categories", [&](const Json& item, const std::string& at) {
    const std::string name = text(item, "name", at);
    wanted[id(item, "id", at)] = name == "roi" || name == "ROI";
  });
  std::map<std::string, Roi> found;
  read.list(read.member(j, "annotations", ""), "annotations", [&](const Json& item, const std::string& at) {
    if (!wanted[id(item, "category_id", at)]) return;
    const auto image = images.find(id(item, "image_id", at));
    if (image == images.end()) read.bad(at + ".image_id", "is not among the images");
    const Json& b = read.member(item, "bbox", at);
    if (!b.is_array() || b.size() != 4) read.bad(at + ".bbox", "must be [x, y, width, height]");
    found[image->second].add(read.box(b[0], b[1], b[2], b[3], at + ".bbox"));
  });
  return found;
}

Json read_regions(const std::filesystem::path& path) {
  std::string bytes = read_file(path, kMaxBytes);
  if (is_gzip(bytes)) bytes = gunzip(bytes, path.string(), kMaxBytes);
  return parse_json(bytes, path.string());
}

Roi read_common(const Json& j, const std::string& where) {
  Reader read(where);
  if (j.is_array())
    read.array(j);
  else
    read.feature(j, "");
  if (read.roi.empty()) read.bad("", "holds no region of interest");
  return std::move(read.roi);
}

}  // namespace

RoiSource::RoiSource(const std::filesystem::path& path) : path_(path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return;
  const Json j = read_regions(path);
  if (j.is_object() && j.contains("annotations") && j.contains("images")) {
    Reader read(path.string());
    by_name_ = coco_regions(j, read);
    if (by_name_.empty()) read.bad("", "holds no annotation of a category named roi");
  } else {
    common_ = read_common(j, path.string());
  }
}

std::optional<Roi> RoiSource::of(const std::filesystem::path& slide) const {
  if (common_) return common_;
  if (auto it = by_name_.find(slide.filename().string()); it != by_name_.end()) return it->second;
  std::error_code ignored;
  if (by_name_.empty())
    for (const char* extension : {".geojson", ".geojson.gz", ".json"}) {
      std::filesystem::path file = path_ / slide.stem();
      file += extension;
      if (std::filesystem::exists(file, ignored)) return read_common(read_regions(file), file.string());
    }
  return std::nullopt;
}

}  // namespace cytodet
