#include "tiling/formats/ome.h"

#include <charconv>

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

constexpr std::string_view kBlank = " \t\r\n";

// The inside of the first start tag of this name, with or without a prefix.
std::string_view tag(std::string_view xml, std::string_view name) {
  for (size_t at = 0; (at = xml.find(name, at)) != std::string_view::npos; at += name.size()) {
    const size_t end = at + name.size();
    const bool starts = at > 0 && (xml[at - 1] == '<' || xml[at - 1] == ':');
    if (!starts || end >= xml.size() || kBlank.find(xml[end]) == std::string_view::npos) continue;
    return xml.substr(end, xml.find('>', end) - end);
  }
  return {};
}

std::string_view attribute(std::string_view tag, std::string_view name) {
  for (size_t at = 0; (at = tag.find(name, at)) != std::string_view::npos; at += name.size()) {
    if (at == 0 || kBlank.find(tag[at - 1]) == std::string_view::npos) continue;
    size_t i = tag.find_first_not_of(kBlank, at + name.size());
    if (i == std::string_view::npos || tag[i] != '=') continue;
    i = tag.find_first_not_of(kBlank, i + 1);
    if (i == std::string_view::npos || (tag[i] != '"' && tag[i] != '\'')) continue;
    const size_t end = tag.find(tag[i], i + 1);
    return end == std::string_view::npos ? std::string_view{} : tag.substr(i + 1, end - i - 1);
  }
  return {};
}

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

std::optional<std::array<double, 2>> ome_pixel_size(std::string_view description) {
  if (description.find("openmicroscopy.org/Schemas/") == std::string_view::npos) return std::nullopt;
  const std::string_view pixels = tag(description, "Pixels");
  const auto x = length(attribute(pixels, "PhysicalSizeX"), attribute(pixels, "PhysicalSizeXUnit"));
  if (!x) return std::nullopt;
  const std::string_view text_y = attribute(pixels, "PhysicalSizeY");
  const auto y = text_y.empty() ? x : length(text_y, attribute(pixels, "PhysicalSizeYUnit"));
  if (!y) return std::nullopt;
  return std::array{*x, *y};
}

}  // namespace cytodet
