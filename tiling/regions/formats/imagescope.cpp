// Aperio ImageScope: <Annotations>/Annotation (a layer)/Regions/Region with Type and NegativeROA, Vertices/Vertex with X and Y.
#include <algorithm>
#include <cmath>

#include "tiling/regions/formats/fields.h"

namespace cytodet::tiling {
namespace {

// The layer's name, or its description.
std::string annotation_label(pugi::xml_node annotation) {
  if (const std::string name = annotation.attribute("Name").value(); !name.empty()) return name;
  for (pugi::xml_node a : annotation.child("Attributes").children("Attribute"))
    if (const std::string value = a.attribute("Value").value(); !value.empty()) return value;
  return {};
}

Roi::Ring vertices_of(RegionFields& read, pugi::xml_node region, const std::string& at) {
  Roi::Ring ring;
  for (pugi::xml_node v : region.child("Vertices").children("Vertex")) {
    read.count_points();
    const std::string here = at + ".Vertex[" + std::to_string(ring.size()) + "]";
    ring.push_back({read.number(std::string_view(v.attribute("X").value()), here + ".X"),
                    read.number(std::string_view(v.attribute("Y").value()), here + ".Y")});
  }
  return ring;
}

struct Bounds {
  double x0, y0, x1, y1;
};
Bounds bounds_of(const Roi::Ring& ring) {
  Bounds b{INFINITY, INFINITY, -INFINITY, -INFINITY};
  for (const Roi::Point& p : ring) b = {std::min(b.x0, p[0]), std::min(b.y0, p[1]), std::max(b.x1, p[0]), std::max(b.y1, p[1])};
  return b;
}

// By Type: 0 freehand, 1 rectangle, 2 ellipse in the box of its vertices; a rectangle may be given by two corners.
Roi::Ring shape_of(RegionFields& read, int type, Roi::Ring ring, const std::string& at) {
  if (type == 2 && ring.size() >= 2) {
    const Bounds b = bounds_of(ring);
    return read.ellipse({(b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2}, (b.x1 - b.x0) / 2, (b.y1 - b.y0) / 2, 0, at);
  }
  if (type == 1 && ring.size() == 2) {
    const Bounds b = bounds_of(ring);
    return read.rectangle(b.x0, b.y0, b.x1 - b.x0, b.y1 - b.y0, at);
  }
  read.check_ring(ring, at);
  return ring;
}

}  // namespace

bool is_imagescope(const RegionDocument& d) {
  return d.is_xml && std::string_view(d.xml.document_element().name()) == "Annotations";
}

RegionFile read_imagescope(const RegionDocument& d) {
  static const std::map<int, const char*> kNoArea{{3, "arrows"}, {4, "lines"}, {5, "points"}};
  RegionFields read(d.where);
  RegionFile file;
  size_t layer = 0;
  for (pugi::xml_node annotation : d.xml.document_element().children("Annotation")) {
    const std::string label = annotation_label(annotation);
    const std::string above = "Annotation[" + std::to_string(layer++) + "].Region[";
    size_t number = 0;
    for (pugi::xml_node r : annotation.child("Regions").children("Region")) {
      const std::string at = above + std::to_string(number++) + "]";
      const int type = r.attribute("Type").as_int(0);
      if (const auto none = kNoArea.find(type); none != kNoArea.end()) {
        ++file.no_area[none->second];
        continue;
      }
      if (type < 0 || type > 2) read.bad(at + ".Type", "is " + std::to_string(type) + ", which is not known");
      Region region;
      region.rings.push_back(shape_of(read, type, vertices_of(read, r, at), at));
      region.label = label;
      region.negative = r.attribute("NegativeROA").as_int(0) == 1;
      file.regions.push_back(std::move(region));
    }
  }
  return file;
}

}  // namespace cytodet::tiling
