// Annotations of HistomicsTK and the Digital Slide Archive: {"elements": [...]}, {"annotation": {"elements": [...]}}, or a list
// of such.
#include "core/settings.h"
#include "tiling/regions/formats/fields.h"

namespace cytodet::tiling {
namespace {

const Json* elements_of(const Json& j) {
  if (!j.is_object()) return nullptr;
  if (const auto e = j.find("elements"); e != j.end() && e->is_array()) return &*e;
  const auto a = j.find("annotation");
  return a != j.end() && a->is_object() ? elements_of(*a) : nullptr;
}

// The group that the elements are drawn in, or what is written at the shape.
std::string element_label(const Json& element) {
  if (std::string group = RegionFields::text_or_empty(element, "group"); !group.empty()) return group;
  const auto label = element.find("label");
  return label != element.end() ? RegionFields::text_or_empty(*label, "value") : "";
}

class ElementReader {
 public:
  explicit ElementReader(const std::string& where) : read_(where) {}

  RegionFile file;

  void element(const Json& e, const std::string& at) {
    const std::string type = read_.text(e, "type", at);
    Region region;
    if (type == "polyline")
      region.rings = polyline(e, at);
    else if (type == "rectangle" || type == "rectanglegrid")
      region.rings.push_back(
          read_.rotated_rectangle(centre(e, at), side(e, "width", at), side(e, "height", at), angle(e, at), at));
    else if (type == "ellipse")
      region.rings.push_back(read_.ellipse(centre(e, at), side(e, "width", at) / 2, side(e, "height", at) / 2, angle(e, at), at));
    else if (type == "circle")
      region.rings.push_back(read_.ellipse(centre(e, at), side(e, "radius", at), side(e, "radius", at), 0, at));
    else
      ++file.no_area[type + " elements"];
    if (region.rings.empty()) return;
    region.label = element_label(e);
    file.regions.push_back(std::move(region));
  }

 private:
  std::vector<Roi::Ring> polyline(const Json& e, const std::string& at) {
    if (const auto closed = e.find("closed"); closed == e.end() || *closed != true) {
      ++file.no_area["lines"];
      return {};
    }
    std::vector<Roi::Ring> rings{read_.ring(read_.member(e, "points", at), at + ".points")};
    if (const auto holes = e.find("holes"); holes != e.end() && !holes->is_null())
      read_.list(*holes, at + ".holes",
                 [&](const Json& hole, const std::string& here) { rings.push_back(read_.ring(hole, here)); });
    return rings;
  }

  Roi::Point centre(const Json& e, const std::string& at) { return read_.point(read_.member(e, "center", at), at + ".center"); }
  double side(const Json& e, const char* key, const std::string& at) const {
    return read_.number(read_.member(e, key, at), at + "." + key);
  }
  // Radians, from x towards y.
  double angle(const Json& e, const std::string& at) const { return e.contains("rotation") ? side(e, "rotation", at) : 0; }

  RegionFields read_;
};

}  // namespace

bool is_histomicstk(const RegionDocument& d) {
  if (d.is_xml) return false;
  return elements_of(d.json.is_array() && !d.json.empty() ? d.json[0] : d.json) != nullptr;
}

RegionFile read_histomicstk(const RegionDocument& d) {
  ElementReader reader(d.where);
  const RegionFields read(d.where);
  const auto document = [&](const Json& j, const std::string& at) {
    const Json* elements = elements_of(j);
    if (!elements) read.bad(at, "lacks \"elements\"");
    read.list(*elements, (at.empty() ? "" : at + ".") + "elements",
              [&](const Json& e, const std::string& here) { reader.element(e, here); });
  };
  if (d.json.is_array())
    read.list(d.json, "", document);
  else
    document(d.json, "");
  return std::move(reader.file);
}

}  // namespace cytodet::tiling
