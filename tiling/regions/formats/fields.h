// Fields of region files, checked; errors name file, place and what is wrong.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/box.h"
#include "tiling/regions/region_file.h"

namespace cytodet::tiling {

class RegionFields {
 public:
  explicit RegionFields(std::string where) : where_(std::move(where)) {}

  [[noreturn]] void bad(const std::string& at, const std::string& what) const;
  // Pixels, finite and below 1e9.
  double number(const Json& j, const std::string& at) const;
  double number(std::string_view text, const std::string& at) const;
  const Json& member(const Json& j, const char* key, const std::string& at) const;
  std::string text(const Json& j, const char* key, const std::string& at) const;
  // "" where there is none, or no string.
  static std::string text_or_empty(const Json& j, const char* key);

  template <class Each>
  void list(const Json& j, const std::string& at, Each each) const {
    if (!j.is_array()) bad(at, "must be an array");
    for (size_t i = 0; i < j.size(); ++i) each(j[i], at + "[" + std::to_string(i) + "]");
  }

  // Throws where a file holds over a million points, all together.
  void count_points(size_t n = 1);
  Roi::Point point(const Json& j, const std::string& at);  // [x, y], and more that is ignored
  Roi::Ring ring(const Json& points, const std::string& at);
  void check_ring(const Roi::Ring& ring, const std::string& at) const;  // at least 3 points
  // Corners; throws where it has no area.
  Roi::Ring rectangle(double x, double y, double width, double height, const std::string& at);
  // Around the centre; rotated by an angle in radians from x towards y.
  Roi::Ring rotated_rectangle(const Roi::Point& centre, double width, double height, double angle, const std::string& at);
  Roi::Ring ellipse(const Roi::Point& centre, double radius_x, double radius_y, double angle, const std::string& at);

 private:
  std::string where_;
  size_t points_ = 0;
};

}  // namespace cytodet::tiling
