// GeoJSON (RFC 7946) as QuPath writes it, of every age: an object's kind is recognised by `id` in 0.1 and 0.2
// ("PathDetectionObject"), by properties.object_type or properties.objectType since.
#include <set>

#include "core/settings.h"
#include "tiling/regions/formats/fields.h"

namespace cytodet::tiling {
namespace {

std::string kind_of(const Json& feature, const Json& properties) {
  for (const char* key : {"objectType", "object_type"})
    if (std::string kind = RegionFields::text_or_empty(properties, key); !kind.empty()) return kind;
  return RegionFields::text_or_empty(feature, "id");
}

// What the objects of QuPath that are no regions are called in messages; null: a region.
const char* no_region(const std::string& kind) {
  static const std::map<std::string, const char*> kKinds{
      {"detection", "detections"}, {"PathDetectionObject", "detections"}, {"cell", "cells"}, {"PathCellObject", "cells"},
      {"tile", "tiles"},           {"PathTileObject", "tiles"},           {"root", "roots"}, {"PathRootObject", "roots"}};
  const auto found = kKinds.find(kind);
  return found == kKinds.end() ? nullptr : found->second;
}

bool is_missing_core(const std::string& kind, const Json& properties) {
  if (kind != "tma_core" && kind != "TMACoreObject") return false;
  for (const char* key : {"isMissing", "is_missing", "missing"})
    if (const auto m = properties.find(key); m != properties.end() && *m == true) return true;
  return false;
}

// "Tumor", {"name": "Tumor"} or, of a class with a parent, {"names": ["Tumor", "Positive"]}, which QuPath shows as "Tumor:
// Positive".
std::string classification_label(const Json& properties) {
  const auto c = properties.find("classification");
  if (c == properties.end()) return {};
  if (c->is_string()) return c->get<std::string>();
  if (std::string name = RegionFields::text_or_empty(*c, "name"); !name.empty()) return name;
  std::string joined;
  if (c->is_object())
    if (const auto names = c->find("names"); names != c->end() && names->is_array())
      for (const Json& n : *names)
        if (n.is_string()) joined += (joined.empty() ? "" : ": ") + n.get<std::string>();
  return joined;
}

class GeoJsonReader {
 public:
  explicit GeoJsonReader(const std::string& where) : read_(where) {}

  RegionFile file;

  void any(const Json& j, const std::string& at) {
    const Json& type = read_.member(j, "type", at);
    const std::string inside = at.empty() ? "" : at + ".";
    if (type == "FeatureCollection")
      read_.list(read_.member(j, "features", at), inside + "features",
                 [&](const Json& f, const std::string& here) { any(f, here); });
    else if (type == "Feature")
      feature(j, at, inside);
    else
      geometry(j, at, "");
  }

  void all(const Json& list) {
    read_.list(list, "", [&](const Json& item, const std::string& at) {
      if (!item.is_object()) read_.bad(at, "must be an object");
      any(item, at);
    });
  }

 private:
  void feature(const Json& j, const std::string& at, const std::string& inside) {
    static const Json kNone = Json::object();
    const auto p = j.find("properties");
    const Json& properties = p != j.end() && p->is_object() ? *p : kNone;
    const std::string kind = kind_of(j, properties);
    if (const char* what = no_region(kind)) {
      ++file.no_area[what];
      return;
    }
    if (is_missing_core(kind, properties)) {
      ++file.no_area["missing TMA cores"];
      return;
    }
    geometry(read_.member(j, "geometry", at), inside + "geometry", classification_label(properties));
  }

  void polygon(const Json& rings, const std::string& at, const std::string& label) {
    if (!rings.is_array()) read_.bad(at, "must be an array of rings");
    Region region;
    region.label = label;
    for (size_t r = 0; r < rings.size(); ++r) region.rings.push_back(read_.ring(rings[r], at + "[" + std::to_string(r) + "]"));
    file.regions.push_back(std::move(region));
  }

  void geometry(const Json& g, const std::string& at, const std::string& label) {
    static const std::map<std::string, const char*> kNoArea{
        {"Point", "points"}, {"MultiPoint", "points"}, {"LineString", "lines"}, {"MultiLineString", "lines"}};
    if (g.is_null()) return;
    const Json& type = read_.member(g, "type", at);
    const std::string inside = at.empty() ? "" : at + ".";
    if (type == "Polygon") {
      polygon(read_.member(g, "coordinates", at), inside + "coordinates", label);
    } else if (type == "MultiPolygon") {
      read_.list(read_.member(g, "coordinates", at), inside + "coordinates",
                 [&](const Json& part, const std::string& here) { polygon(part, here, label); });
    } else if (type == "GeometryCollection") {
      read_.list(read_.member(g, "geometries", at), inside + "geometries",
                 [&](const Json& part, const std::string& here) { geometry(part, here, label); });
    } else {
      const auto known = type.is_string() ? kNoArea.find(type.get<std::string>()) : kNoArea.end();
      if (known == kNoArea.end()) read_.bad(inside + "type", "is no geometry of GeoJSON");
      ++file.no_area[known->second];
    }
  }

  RegionFields read_;
};

}  // namespace

bool is_geojson(const RegionDocument& d) { return !d.is_xml; }

RegionFile read_geojson(const RegionDocument& d) {
  GeoJsonReader reader(d.where);
  if (d.json.is_array())
    reader.all(d.json);
  else
    reader.any(d.json, "");
  return std::move(reader.file);
}

}  // namespace cytodet::tiling
