// SVG pictures, written element by element. Lengths are pixels at full size; texts are escaped, attributes are written as given.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace cytodet::pipeline {

struct SvgPoint {
  double x = 0, y = 0;
};

class Svg {
 public:
  // A picture of its own file has a white background; one that stands in a page takes the page's colours.
  enum class Place { file, page };
  Svg(double width, double height, Place place, std::string_view attributes = {});

  // `attributes`, such as `fill="none"`; `tip`: what a viewer shows while the pointer is over the element.
  void rect(double x, double y, double width, double height, std::string_view attributes, std::string_view tip = {});
  void circle(SvgPoint centre, double radius, std::string_view attributes, std::string_view tip = {});
  void line(SvgPoint from, SvgPoint to, std::string_view attributes);
  void polyline(std::span<const SvgPoint> points, std::string_view attributes);
  void polygon(std::span<const SvgPoint> points, std::string_view attributes);
  // `at` is where the text's base line begins, or its middle or end where an attribute text-anchor says so.
  void text(SvgPoint at, std::string_view text, std::string_view attributes = {});
  // Upwards, centred at `at`.
  void text_upwards(SvgPoint at, std::string_view text);

  std::string finish() const { return text_ + "</svg>\n"; }

 private:
  void element(const std::string& start, std::string_view attributes, std::string_view tip);

  std::string text_;
};

}  // namespace cytodet::pipeline
