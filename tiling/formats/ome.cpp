#include "tiling/formats/ome.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"

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

// The inside of the next start tag of this name, with or without a prefix; `xml` goes on behind it. Empty: there is none.
std::optional<std::string_view> next_tag(std::string_view& xml, std::string_view name) {
  for (size_t at = 0; (at = xml.find(name, at)) != std::string_view::npos; at += name.size()) {
    const size_t end = at + name.size();
    const bool starts = at > 0 && (xml[at - 1] == '<' || xml[at - 1] == ':');
    if (!starts || end >= xml.size() || (kBlank.find(xml[end]) == std::string_view::npos && xml[end] != '/' && xml[end] != '>'))
      continue;
    const size_t close = std::min(xml.find('>', end), xml.size());
    const std::string_view inside = xml.substr(end, close - end);
    xml.remove_prefix(close);
    return inside;
  }
  return std::nullopt;
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

std::optional<uint32_t> count(std::string_view text) {
  uint32_t value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stopped == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

[[noreturn]] void bad_planes(const std::string& what) {
  throw Error("", "is an OME-TIFF " + what, "save the picture as one 8-bit RGB plane");
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

std::optional<OmeSizes> ome_sizes(std::string_view description) {
  if (!is_ome(description)) return std::nullopt;
  const auto pixels = next_tag(description, "Pixels");
  if (!pixels) return std::nullopt;
  const auto c = count(attribute(*pixels, "SizeC")), z = count(attribute(*pixels, "SizeZ")),
             t = count(attribute(*pixels, "SizeT"));
  if (!c || !z || !t || !*c || !*z || !*t) return std::nullopt;
  return OmeSizes{*c, *z, *t};
}

std::array<uint32_t, 3> ome_channel_planes(std::string_view description) {
  std::string_view rest = description, file;
  next_tag(rest, "Pixels");
  rest = rest.substr(0, rest.find("Pixels>"));
  std::string_view ids = rest;
  while (const auto id = next_tag(ids, "UUID")) {
    const std::string_view name = attribute(*id, "FileName");
    if (!file.empty() && !name.empty() && name != file) bad_planes("whose channels lie in several files");
    if (!name.empty()) file = name;
  }
  std::array<std::optional<uint32_t>, 3> planes;
  bool told = false;
  while (const auto data = next_tag(rest, "TiffData")) {
    told = true;
    const auto number = [&](const char* name, uint32_t missing) {
      const std::string_view text = attribute(*data, name);
      const auto value = text.empty() ? std::optional(missing) : count(text);
      if (!value) bad_planes("whose TiffData tells no number by " + std::string(name));
      return *value;
    };
    const uint32_t first = number("FirstC", 0), image = number("IFD", 0);
    const uint32_t many = number("PlaneCount", attribute(*data, "IFD").empty() ? 3 : 1);
    for (uint32_t i = 0; i < std::min(many, 3u) && first < 3 && first + i < 3; ++i) planes[first + i] = image + i;
  }
  if (!told) return {0, 1, 2};
  for (const auto& plane : planes)
    if (!plane) bad_planes("whose TiffData does not tell where each of its 3 channels lies");
  return {*planes[0], *planes[1], *planes[2]};
}

}  // namespace cytodet
