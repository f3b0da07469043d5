// Regions of interest: the parts of a slide that are looked at, and scored.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/box.h"

namespace cytodet {

// A union of polygons in level-0 pixels. Inside a polygon is what an odd number of its edges lies to the left of, so that rings
// inside others are holes.
class Roi {
 public:
  using Point = std::array<double, 2>;
  using Ring = std::vector<Point>;  // closed by itself; at least 3 points

  void add(const std::vector<Ring>& polygon);
  void add(const Box& box);
  bool empty() const { return polygons_.empty(); }

  bool contains(double x, double y) const;
  // A box belongs to the region that holds its centre.
  bool holds(const Box& b) const { return contains((b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2); }
  // Whether box and regions have a point in common.
  bool touches(const Box& b) const;
  // Tells two apart; equal for equal coordinates.
  std::string hash() const;

 private:
  struct Edge {
    double x0, y0, x1, y1;
  };
  struct Polygon {
    Box bounds;
    std::vector<Edge> edges;
    std::vector<std::vector<uint32_t>> bands;  // edges by the horizontal bands of bounds that they cross
    size_t band(double y) const;
  };
  static bool inside(const Polygon& p, double x, double y);
  std::vector<Polygon> polygons_;
};

// Where the regions of many slides come from. Forms:
//   GeoJSON (QuPath): polygons of all features but detections, cells and tiles; for every slide
//   the competition's list [{"class": "roi", "x", "y", "w", "h"}, ...]; for every slide
//   COCO truth: annotations of a category named "roi" or "ROI", by the file name of their image
//   a folder: for a slide NAME.ext the file NAME.geojson, NAME.geojson.gz or NAME.json in one of the first two forms
// Each may be gzipped, of at most 256 MiB unpacked.
class RoiSource {
 public:
  // Errors name the file: missing, not JSON, damaged gzip, too large, of none of the forms, without a region, numbers that cannot be.
  explicit RoiSource(const std::filesystem::path& path);
  // Empty: there is none for this slide.
  std::optional<Roi> of(const std::filesystem::path& slide) const;

 private:
  std::filesystem::path path_;
  std::optional<Roi> common_;
  std::map<std::string, Roi> by_name_;
};

}  // namespace cytodet
