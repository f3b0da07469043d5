#include "tiling/formats/ome.h"

#include <algorithm>
#include <charconv>

#include "tiling/formats/xml_text.h"

namespace cytodet {
namespace {

struct Unit {
  std::string_view name;
  double micrometres;
};
// The micro sign of Unicode, the Greek letter, that of Latin-1, and as XML characters.
constexpr Unit kUnits[] = {
    {"", 1},   {"\xc2\xb5m", 1}, {"\xce\xbcm", 1}, {"\xb5m", 1}, {"&#181;m", 1}, {"&#xB5;m", 1}, {"&#xb5;m", 1},
    {"um", 1}, {"micron", 1},    {"pm", 1e-6},     {"nm", 1e-3}, {"mm", 1e3},    {"cm", 1e4},    {"m", 1e6},
};

std::optional<double> length(std::string_view text, std::string_view unit) {
  double value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stopped != text.data() + text.size()) return std::nullopt;
  for (const Unit& u : kUnits)
    if (u.name == unit) {
      value *= u.micrometres;
      return value >= 1e-3 && value <= 1e3 ? std::optional(value) : std::nullopt;
    }
  return std::nullopt;
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

}  // namespace cytodet
