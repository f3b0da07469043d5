#include "tiling/slides/formats/ome.h"

#include <algorithm>
#include <charconv>

#include "tiling/slides/formats/physical_size.h"
#include "tiling/slides/formats/xml_text.h"

namespace cytodet::tiling {
namespace {

std::optional<double> length(std::string_view text, std::string_view unit) {
  double value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stopped != text.data() + text.size()) return std::nullopt;
  const std::optional<double> scale = unit.empty() ? std::optional(1.0) : micrometres_in(unit);
  if (!scale) return std::nullopt;
  value *= *scale;
  return value >= 1e-3 && value <= 1e3 ? std::optional(value) : std::nullopt;
}

}  // namespace

bool is_ome(std::string_view description) { return description.find("openmicroscopy.org/Schemas/") != std::string_view::npos; }

std::optional<std::array<double, 2>> ome_pixel_size(std::string_view description) {
  if (!is_ome(description)) return std::nullopt;
  const std::string_view pixels = next_tag(description, "Pixels").value_or("");
  const auto x = length(attribute(pixels, "PhysicalSizeX"), attribute(pixels, "PhysicalSizeXUnit"));
  if (!x) return std::nullopt;
  const std::string_view text_y = attribute(pixels, "PhysicalSizeY");
  const auto y = text_y.empty() ? x : length(text_y, attribute(pixels, "PhysicalSizeYUnit"));
  if (!y) return std::nullopt;
  return std::array{*x, *y};
}

}  // namespace cytodet::tiling
