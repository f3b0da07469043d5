// labelme: {"shapes": [{"label": "roi", "points": [[x, y], ...], "shape_type": "polygon"}, ...], "imagePath": "a.jpg"}. If any
// shape is labelled roi, the others are cells.
#include <algorithm>
#include <cmath>

#include "core/settings.h"
#include "tiling/regions/formats/fields.h"

namespace cytodet::tiling {
namespace {

class ShapeReader {
 public:
  explicit ShapeReader(const std::string& where) : read_(where) {}

  RegionFile file;

  void shape(const Json& s, const std::string& at) {
    std::string type = RegionFields::text_or_empty(s, "shape_type");
    if (type.empty()) type = "polygon";  // before version 3.16
    const Json& points = read_.member(s, "points", at);
    const std::string here = at + ".points";
    Region region;
    if (type == "polygon") {
      region.rings.push_back(read_.ring(points, here));
    } else if (type == "rectangle" && points.size() != 4) {
      const auto [a, b] = two(points, here);
      region.rings.push_back(
          read_.rectangle(std::min(a[0], b[0]), std::min(a[1], b[1]), std::abs(b[0] - a[0]), std::abs(b[1] - a[1]), here));
    } else if (type == "rectangle" || type == "oriented_rectangle") {
      region.rings.push_back(read_.ring(points, here));
    } else if (type == "circle") {
      const auto [centre, edge] = two(points, here);
      const double radius = std::hypot(edge[0] - centre[0], edge[1] - centre[1]);
      region.rings.push_back(read_.ellipse(centre, radius, radius, 0, here));
    } else {
      ++file.no_area[type + " shapes"];
      return;
    }
    region.label = RegionFields::text_or_empty(s, "label");
    file.regions.push_back(std::move(region));
  }

 private:
  std::array<Roi::Point, 2> two(const Json& points, const std::string& at) {
    if (!points.is_array() || points.size() != 2) read_.bad(at, "must be two points");
    return {read_.point(points[0], at), read_.point(points[1], at)};
  }

  RegionFields read_;
};

}  // namespace

bool is_labelme(const RegionDocument& d) {
  return !d.is_xml && d.json.is_object() && d.json.contains("shapes") && d.json["shapes"].is_array();
}

RegionFile read_labelme(const RegionDocument& d) {
  ShapeReader reader(d.where);
  RegionFields(d.where).list(d.json["shapes"], "shapes", [&](const Json& s, const std::string& at) { reader.shape(s, at); });
  RegionFile& file = reader.file;
  file.roi_only =
      std::any_of(file.regions.begin(), file.regions.end(), [](const Region& r) { return same_label(r.label, "roi"); });
  return std::move(file);
}

}  // namespace cytodet::tiling
