// Regions of interest: the parts of a slide that are looked at, and scored.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/box.h"
#include "core/path_match.h"
#include "tiling/regions/roi_folder.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::core {
class ZipArchive;
}

namespace cytodet::tiling {

// From where a file of regions counts its pixels: from the slide's canvas, or from what a viewer that crops to the scanned part
// (QuPath) shows. The reader of each form says which; see Origin.
enum class RoiFrame { slide, viewer };

// A union of polygons in level-0 pixels. Inside a polygon is what an odd number of its edges lies to the left of, so that rings
// inside others are holes.
class Roi {
 public:
  using Point = std::array<double, 2>;
  using Ring = std::vector<Point>;  // closed by itself; at least 3 points

  void add(const std::vector<Ring>& polygon);
  void add(const Box& box);
  // Takes a polygon off all others, those that are added later too.
  void subtract(const std::vector<Ring>& polygon);
  bool empty() const { return polygons_.empty(); }
  // What the file of the regions holds and is not looked at, for the user; empty: nothing.
  std::string note;

  RoiFrame frame = RoiFrame::slide;
  void move(double dx, double dy);
  // Into the slide's own frame, where its bounds say that a viewer's differs.
  void to_slide_frame(const std::optional<PixelArea>& bounds, Origin origin);

  bool contains(double x, double y) const;
  // A box belongs to the region that holds its centre.
  bool holds(const Box& b) const { return contains((b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2); }
  // Whether box and regions have a point in common. May also be true for a box that a subtracted polygon covers in part.
  bool touches(const Box& b) const;
  // Level-0 pixels of `clip` that lie in a region, and in one of the boxes where there are some (`only`); overlaps count once,
  // holes do not. Exact where edges run along the axes, else to about 1e-4 of it.
  double area(const Box& clip) const;
  double area(const Box& clip, std::span<const Box> only) const;
  // Distinguishes two; equal for equal coordinates.
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
  class AreaSweep;
  static bool inside(const Polygon& p, double x, double y);
  static bool crosses_edge(const Polygon& p, const Box& box);
  static std::optional<Polygon> polygon_of(const std::vector<Ring>& rings);
  static void index(Polygon& p);
  std::vector<Polygon> polygons_, holes_;  // holes: subtracted
};

// Which regions of a file are meant, by their class (group, layer, label). The case of letters does not matter.
struct RoiChoice {
  std::vector<std::string> classes;  // these alone; none: all, but in files of boxes of all kinds (COCO, a box list) "roi"
  std::vector<std::string> ignored;  // these are taken off the others, as are QuPath's classes that end in a star ("Ignore*")
                                     // unless they are among the classes
};

// The source of the regions of many slides: a file of one of the formats in tiling/regions (region_formats()), or a folder or
// zip archive that holds one for each slide, see RoiFolder. Each may be gzipped, of at most 256 MiB unpacked, in any encoding of
// core/text_decode.h. A file of boxes with their images (COCO) counts for the images that it names, see PathIndex, every other
// for all slides.
class RoiSource {
 public:
  // Errors name the file: missing, of a format that is not read, damaged, too large, without a region, numbers that cannot be.
  explicit RoiSource(const std::filesystem::path& path, RoiChoice choice = {});
  // Empty: there is none for this slide. Throws Error as above where the slide's own file is bad, and where several files or
  // images may be this slide's.
  std::optional<Roi> of(const std::filesystem::path& slide) const;
  // Throws Error when two slides of a list would take the regions of one image; returns warnings about inexact matches.
  std::vector<std::string> check(const std::vector<std::string>& slides) const;

 private:
  const Roi* of_image(const std::string& slide) const;
  std::filesystem::path path_;
  RoiChoice choice_;
  std::optional<Roi> common_;
  std::shared_ptr<const PathIndex> images_;    // file_name of the images that a file names
  std::vector<Roi> of_image_;                  // in its order
  RoiFolder folder_;                           // of the folder or archive
  std::shared_ptr<const ZipArchive> archive_;  // of several files
};

}  // namespace cytodet::tiling
