// ASAP (and the Camelyon data): <ASAP_Annotations>/Annotations/Annotation with Type and PartOfGroup, Coordinates/Coordinate with
// X, Y and Order.
#include <algorithm>

#include "tiling/regions/formats/fields.h"

namespace cytodet::tiling {
namespace {

Roi::Ring ring_of(RegionFields& read, pugi::xml_node annotation, const std::string& at) {
  struct Placed {
    double order;
    Roi::Point point;
  };
  std::vector<Placed> points;
  for (pugi::xml_node c : annotation.child("Coordinates").children("Coordinate")) {
    read.count_points();
    const std::string here = at + ".Coordinate[" + std::to_string(points.size()) + "]";
    const pugi::xml_attribute order = c.attribute("Order");
    points.push_back({order ? read.number(std::string_view(order.value()), here + ".Order") : static_cast<double>(points.size()),
                      {read.number(std::string_view(c.attribute("X").value()), here + ".X"),
                       read.number(std::string_view(c.attribute("Y").value()), here + ".Y")}});
  }
  std::stable_sort(points.begin(), points.end(), [](const Placed& a, const Placed& b) { return a.order < b.order; });
  Roi::Ring ring;
  for (const Placed& p : points) ring.push_back(p.point);
  read.check_ring(ring, at);
  return ring;
}

}  // namespace

bool is_asap(const RegionDocument& d) {
  return d.is_xml && std::string_view(d.xml.document_element().name()) == "ASAP_Annotations";
}

RegionFile read_asap(const RegionDocument& d) {
  static const std::map<std::string, const char*> kNoArea{
      {"Dot", "points"}, {"PointSet", "points"}, {"Measurement", "lines"}, {"None", "shapes of no kind"}};
  RegionFields read(d.where);
  RegionFile file;
  size_t number = 0;
  for (pugi::xml_node a : d.xml.document_element().child("Annotations").children("Annotation")) {
    const std::string at = "Annotation[" + std::to_string(number++) + "]";
    const std::string type = a.attribute("Type").value();
    if (const auto none = kNoArea.find(type); none != kNoArea.end()) {
      ++file.no_area[none->second];
      continue;
    }
    if (type != "Polygon" && type != "Rectangle" && type != "Spline" && !type.empty())
      read.bad(at + ".Type", "is \"" + type.substr(0, 40) + "\", which is not known");
    Region region;
    region.rings.push_back(ring_of(read, a, at));
    region.label = a.attribute("PartOfGroup").value();
    if (region.label == "None") region.label.clear();
    file.regions.push_back(std::move(region));
  }
  return file;
}

}  // namespace cytodet::tiling
