#include "tiling/regions/formats/fields.h"

#include <charconv>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/settings.h"

namespace cytodet::tiling {
namespace {

constexpr size_t kMaxPoints = 1'000'000;
constexpr double kFarthest = 1e9;      // pixels
constexpr int kPointsOfEllipse = 180;  // its area is right to 2e-4

Roi::Point rotated(const Roi::Point& centre, double x, double y, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {centre[0] + x * c - y * s, centre[1] + x * s + y * c};
}

}  // namespace

void RegionFields::bad(const std::string& at, const std::string& what) const {
  throw Error(where_ + (at.empty() ? "" : ": " + at), what, "see docs/slides.md for the forms of regions");
}

double RegionFields::number(const Json& j, const std::string& at) const {
  if (!j.is_number() || !(std::abs(j.get<double>()) <= kFarthest)) bad(at, "must be a number of pixels");
  return j.get<double>();
}

double RegionFields::number(std::string_view text, const std::string& at) const {
  const size_t first = text.find_first_not_of(" \t\r\n"), last = text.find_last_not_of(" \t\r\n");
  if (first == std::string_view::npos) bad(at, "must be a number of pixels, and is empty");
  text = text.substr(first, last - first + 1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(std::abs(value) <= kFarthest))
    bad(at, "must be a number of pixels with a decimal point, not \"" + std::string(text.substr(0, 40)) + "\"");
  return value;
}

const Json& RegionFields::member(const Json& j, const char* key, const std::string& at) const {
  if (!j.is_object() || !j.contains(key)) bad(at, std::string("lacks \"") + key + "\"");
  return j[key];
}

std::string RegionFields::text(const Json& j, const char* key, const std::string& at) const {
  const Json& v = member(j, key, at);
  if (!v.is_string()) bad(at + "." + key, "must be a string");
  return v.get<std::string>();
}

std::string RegionFields::text_or_empty(const Json& j, const char* key) {
  if (!j.is_object()) return {};
  const auto found = j.find(key);
  return found != j.end() && found->is_string() ? found->get<std::string>() : "";
}

void RegionFields::count_points(size_t n) {
  if (n > kMaxPoints - points_) bad("", "holds more than " + std::to_string(kMaxPoints) + " points");
  points_ += n;
}

Roi::Point RegionFields::point(const Json& j, const std::string& at) {
  count_points();
  if (!j.is_array() || j.size() < 2) bad(at, "holds a point that is not [x, y]");
  return {number(j[0], at), number(j[1], at)};
}

Roi::Ring RegionFields::ring(const Json& points, const std::string& at) {
  if (!points.is_array() || points.size() < 3) bad(at, "must be a ring of at least 3 points");
  Roi::Ring ring;
  for (const Json& p : points) ring.push_back(point(p, at));
  return ring;
}

void RegionFields::check_ring(const Roi::Ring& ring, const std::string& at) const {
  if (ring.size() < 3) bad(at, "must be a ring of at least 3 points");
}

Roi::Ring RegionFields::rectangle(double x, double y, double width, double height, const std::string& at) {
  count_points(4);
  if (!(width > 0) || !(height > 0)) bad(at, "is a region without area");
  return {{x, y}, {x + width, y}, {x + width, y + height}, {x, y + height}};
}

Roi::Ring RegionFields::rotated_rectangle(const Roi::Point& centre, double width, double height, double angle,
                                          const std::string& at) {
  count_points(4);
  if (!(width > 0) || !(height > 0)) bad(at, "is a region without area");
  Roi::Ring ring;
  for (const auto& [x, y] : {Roi::Point{-.5, -.5}, Roi::Point{.5, -.5}, Roi::Point{.5, .5}, Roi::Point{-.5, .5}})
    ring.push_back(rotated(centre, x * width, y * height, angle));
  return ring;
}

Roi::Ring RegionFields::ellipse(const Roi::Point& centre, double radius_x, double radius_y, double angle, const std::string& at) {
  count_points(kPointsOfEllipse);
  if (!(radius_x > 0) || !(radius_y > 0)) bad(at, "is a region without area");
  Roi::Ring ring;
  for (int i = 0; i < kPointsOfEllipse; ++i) {
    const double t = 2 * std::numbers::pi * i / kPointsOfEllipse;
    ring.push_back(rotated(centre, radius_x * std::cos(t), radius_y * std::sin(t), angle));
  }
  return ring;
}

}  // namespace cytodet::tiling
