// Heat map: the density of a slide's boxes drawn as an image.
#pragma once

#include <optional>
#include <vector>

#include "core/box.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

// Counts box centres on a grid over the slide; memory does not grow with the boxes.
class HeatMap {
 public:
  // Level-0 size; the longer side has at most 256 cells. Throws Error when a side is not positive.
  HeatMap(int64_t width, int64_t height);
  // Covers the part of the slide that was scanned, `bounds`, or all of it.
  HeatMap(int64_t width, int64_t height, const std::optional<PixelArea>& bounds);
  void add(const Box& box);

  // Boxes per grid cell smoothed by a Gaussian of one cell, white to dark red up to the densest place, over the slide in gray
  // (null: over white), and above it the scale: boxes per mm² when the slide gives its micrometres per pixel, else per megapixel.
  Image draw(const Slide* slide, int max_side = 1600) const;

  // Boxes per megapixel in the densest place; 0 without boxes.
  double densest() const;

 private:
  std::vector<float> smooth() const;
  int64_t width_, height_;
  std::optional<PixelArea> bounds_;
  int columns_, rows_;
  std::vector<float> counts_;
};

}  // namespace cytodet::tiling
