#include "tiling/slides/formats/physical_size.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/ascii.h"
#include "tiling/slides/formats/ome.h"

namespace cytodet::tiling {
namespace {

struct Unit {
  std::string_view name;  // lower case
  double micrometres;
};
// The micro sign of Unicode, the Greek letter, that of Latin-1, as XML characters and as ImageJ escapes it; likewise the
// angstrom.
constexpr Unit kUnits[] = {
    {"um", 1},           {"\xc2\xb5m", 1},     {"\xce\xbcm", 1},       {"\xb5m", 1},         {"&#181;m", 1},
    {"&#xb5;m", 1},      {"\\u00b5m", 1},      {"\\u03bcm", 1},        {"micron", 1},        {"microns", 1},
    {"micrometer", 1},   {"micrometers", 1},   {"micrometre", 1},      {"micrometres", 1},   {"pm", 1e-6},
    {"nm", 1e-3},        {"nanometer", 1e-3},  {"nanometers", 1e-3},   {"nanometre", 1e-3},  {"nanometres", 1e-3},
    {"\xc3\x85", 1e-4},  {"\xc3\xa5", 1e-4},   {"\xe2\x84\xab", 1e-4}, {"\xc5", 1e-4},       {"&#197;", 1e-4},
    {"&#xc5;", 1e-4},    {"\\u00c5", 1e-4},    {"angstrom", 1e-4},     {"angstroms", 1e-4},  {"mm", 1e3},
    {"millimeter", 1e3}, {"millimeters", 1e3}, {"millimetre", 1e3},    {"millimetres", 1e3}, {"cm", 1e4},
    {"centimeter", 1e4}, {"centimeters", 1e4}, {"centimetre", 1e4},    {"centimetres", 1e4}, {"dm", 1e5},
    {"m", 1e6},          {"meter", 1e6},       {"metre", 1e6},         {"in", 25400},        {"inch", 25400},
    {"inches", 25400},   {"thou", 25.4},       {"mil", 25.4},
};

constexpr double kFinest = 0.005, kCoarsest = 12.7;        // micrometres; outside this a resolution is no microscope's
constexpr double kUsualFinest = 0.04, kUsualCoarsest = 6;  // beyond this it may be one, but hardly
constexpr double kAgreed = 0.02;
constexpr double kInch = 25400, kCentimetre = 10000, kMetre = 1e6;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank{" \t\r\n\0\"", 6};
  const size_t from = text.find_first_not_of(kBlank);
  return from == std::string_view::npos ? std::string_view{} : text.substr(from, text.find_last_not_of(kBlank) + 1 - from);
}

// A positive number at the start of the text; a comma in it is a decimal comma.
std::optional<double> number_at(std::string_view text) {
  std::string digits(trimmed(text).substr(0, 40));
  std::replace(digits.begin(), digits.end(), ',', '.');
  double value = 0;
  const auto [stopped, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc() && value > 0 && value < 1e9 ? std::optional(value) : std::nullopt;
}

// Value of the line or field "key = value", blanks around the sign or not; case of the key does not matter.
std::optional<std::string_view> field(std::string_view text, std::string_view key) {
  const std::string wanted = lower_ascii(key);
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("|;\r\n"), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t sign = one.find('=');
    if (sign != std::string_view::npos && lower_ascii(trimmed(one.substr(0, sign))) == wanted)
      return trimmed(one.substr(sign + 1));
  }
  return std::nullopt;
}

// Value of XML's <... id="key" ... value="value"/> (MetaMorph).
std::optional<std::string_view> property(std::string_view xml, std::string_view key) {
  for (const char quote : {'"', '\''}) {
    const std::string id = std::string("id=") + quote + std::string(key) + quote;
    const size_t at = xml.find(id);
    if (at == std::string_view::npos) continue;
    const std::string_view tag = xml.substr(at, xml.find('>', at) - at);
    const std::string name = std::string("value=") + quote;
    const size_t from = tag.find(name);
    if (from == std::string_view::npos) continue;
    const std::string_view value = tag.substr(from + name.size());
    return value.substr(0, value.find(quote));
  }
  return std::nullopt;
}

// Empty where no instrument has such pixels.
std::optional<PixelSize> possible(PixelSize s) {
  const auto fits = [](double v) { return v >= 1e-3 && v <= 1e3; };
  return fits(s.x) && fits(s.y) ? std::optional(std::move(s)) : std::nullopt;
}

std::optional<PixelSize> ome(const TiffScale& t) {
  const auto size = ome_pixel_size(t.description);
  return size ? std::optional(PixelSize{(*size)[0], (*size)[1], "OME PhysicalSizeX"}) : std::nullopt;
}

// The text of a level says "2220x2967 -> 574x768" and repeats MPP of the finest level.
double aperio_reduction(std::string_view description, int64_t width) {
  const std::string_view line = description.substr(0, description.find(';'));
  const size_t arrow = line.find("-> ");
  if (arrow == std::string_view::npos) return 1;
  int64_t to = 0, from = 0;
  const std::string_view behind = line.substr(arrow + 3);
  std::from_chars(behind.data(), behind.data() + behind.size(), to);
  // Before the arrow the size, or the part "[x,y WxH]" of it that was kept.
  std::string_view before = line.substr(0, arrow);
  const size_t bracket = before.rfind('['), cross = before.rfind('x', before.find(']'));
  if (cross == std::string_view::npos) return 1;
  size_t digit = cross;
  while (digit > 0 && before[digit - 1] >= '0' && before[digit - 1] <= '9') --digit;
  if (bracket != std::string_view::npos && digit < bracket) return 1;
  std::from_chars(before.data() + digit, before.data() + cross, from);
  return to > 0 && to == width && from > to ? static_cast<double>(from) / static_cast<double>(to) : 1;
}

std::optional<PixelSize> aperio(const TiffScale& t) {
  const auto mpp = number_of_field(t.description, "MPP");
  if (!mpp) return std::nullopt;
  const double size = *mpp * aperio_reduction(t.description, t.width);
  return possible({size, size, "aperio.MPP"});
}

std::optional<PixelSize> aperio_elsewhere(const TiffScale& t) {
  for (const std::string& text : t.elsewhere)
    if (const auto mpp = number_of_field(text, "MPP")) return possible({*mpp, *mpp, "aperio.MPP of another image"});
  return std::nullopt;
}

// Pixels per unit in XResolution and YResolution, whatever ResolutionUnit says; the unit in a line of its own.
std::optional<PixelSize> imagej(const TiffScale& t) {
  if (!t.description.starts_with("ImageJ=") || !(t.x_resolution > 0) || !(t.y_resolution > 0)) return std::nullopt;
  const auto unit = field(t.description, "unit");
  const auto x = unit ? micrometres_in(*unit) : std::nullopt;
  const auto unit_y = field(t.description, "yunit");
  const auto y = unit_y ? micrometres_in(*unit_y) : x;
  if (!x || !y) return std::nullopt;
  return possible({*x / static_cast<double>(t.x_resolution), *y / static_cast<double>(t.y_resolution), "ImageJ unit"});
}

std::optional<PixelSize> metamorph(const TiffScale& t) {
  const auto x = property(t.description, "spatial-calibration-x"), y = property(t.description, "spatial-calibration-y"),
             unit = property(t.description, "spatial-calibration-units");
  const auto state = property(t.description, "spatial-calibration-state");
  if (!x || !unit || (state && (*state == "off" || *state == "0"))) return std::nullopt;
  const auto scale = micrometres_in(*unit), sx = number_at(*x), sy = y ? number_at(*y) : sx;
  if (!scale || !sx || !sy) return std::nullopt;
  return possible({*sx * *scale, *sy * *scale, "MetaMorph spatial-calibration-x"});
}

std::optional<PixelSize> resolution(const TiffScale& t) {
  if (t.unit != 2 && t.unit != 3) return std::nullopt;
  return size_of_resolution(static_cast<double>(t.x_resolution), static_cast<double>(t.y_resolution),
                            t.unit == 3 ? kCentimetre : kInch, "TIFF XResolution");
}

struct Source {
  const char* what;
  std::optional<PixelSize> (*find)(const TiffScale&);
};
// In order of trust: what a microscope's own program writes before what any program may.
constexpr Source kSources[] = {
    {"OME PhysicalSizeX", ome},
    {"aperio.MPP", aperio},
    {"ImageJ's unit", imagej},
    {"MetaMorph's spatial calibration", metamorph},
    {"TIFF XResolution finer than 12.7 micrometres", resolution},
    {"aperio.MPP of another image", aperio_elsewhere},
};

std::string size_text(const PixelSize& s) {
  char text[80];
  if (std::abs(s.x - s.y) <= 1e-4 * s.x)
    std::snprintf(text, sizeof text, "%.4g", s.x);
  else
    std::snprintf(text, sizeof text, "%.4g x %.4g", s.x, s.y);
  return std::string(text) + " by " + s.source;
}

uint32_t big_endian(std::span<const uint8_t> b, size_t at, int bytes) {
  uint32_t v = 0;
  for (int i = 0; i < bytes; ++i) v = v << 8 | b[at + static_cast<size_t>(i)];
  return v;
}
uint32_t little_endian(std::span<const uint8_t> b, size_t at) {
  return b[at] | uint32_t{b[at + 1]} << 8 | uint32_t{b[at + 2]} << 16 | uint32_t{b[at + 3]} << 24;
}
bool has_text(std::span<const uint8_t> b, size_t at, std::string_view text) {
  return at + text.size() <= b.size() && std::equal(text.begin(), text.end(), b.begin() + static_cast<std::ptrdiff_t>(at),
                                                    [](char c, uint8_t v) { return static_cast<uint8_t>(c) == v; });
}

// Chunk pHYs before the pixels: pixels per unit across and down, unit 1 the metre (PNG 11.3.4.3).
std::optional<PixelSize> png_size(std::span<const uint8_t> b) {
  for (size_t at = 8; at + 12 <= b.size() && !has_text(b, at + 4, "IDAT");) {
    const size_t length = big_endian(b, at, 4);
    if (length > b.size() - at - 12) return std::nullopt;
    if (has_text(b, at + 4, "pHYs") && length == 9 && b[at + 16] == 1)
      return size_of_resolution(big_endian(b, at + 8, 4), big_endian(b, at + 12, 4), kMetre, "PNG pHYs");
    at += length + 12;
  }
  return std::nullopt;
}

// Segment APP0 "JFIF": unit (1 inch, 2 centimetre), pixels per unit across and down.
std::optional<PixelSize> jpeg_size_of_pixels(std::span<const uint8_t> b) {
  for (size_t at = 2; at + 4 <= b.size() && b[at] == 0xff && b[at + 1] >= 0xe0 && b[at + 1] <= 0xef;) {
    const size_t length = big_endian(b, at + 2, 2);
    if (length < 2 || length > b.size() - at - 2) return std::nullopt;
    if (has_text(b, at + 4, std::string_view("JFIF\0", 5)) && length >= 14 && (b[at + 11] == 1 || b[at + 11] == 2))
      return size_of_resolution(big_endian(b, at + 12, 2), big_endian(b, at + 14, 2), b[at + 11] == 1 ? kInch : kCentimetre,
                                "JFIF density");
    at += length + 2;
  }
  return std::nullopt;
}

// Pixels per metre in a header of at least 40 bytes.
std::optional<PixelSize> bmp_size(std::span<const uint8_t> b) {
  if (b.size() < 54 || little_endian(b, 14) < 40) return std::nullopt;
  return size_of_resolution(little_endian(b, 38), little_endian(b, 42), kMetre, "BMP resolution");
}

// What a factor between two sources means.
std::string reason_for(double factor) {
  const double f = factor < 1 ? 1 / factor : factor;
  const auto is = [&](double v) { return std::abs(f / v - 1) < kAgreed; };
  if (is(2.54)) return " (2.54 times: inch and centimetre are mixed up)";
  if (is(25.4)) return " (25.4 times: inch and millimetre are mixed up)";
  if (is(10) || is(100) || is(1000) || is(10000)) return " (a power of ten: units are mixed up)";
  return "";
}

std::string advice() { return "; --set-mpp overrules what the file says"; }

}  // namespace

std::optional<double> micrometres_in(std::string_view unit) {
  const std::string name = lower_ascii(trimmed(unit));
  for (const Unit& u : kUnits)
    if (u.name == name) return u.micrometres;
  return std::nullopt;
}

std::optional<double> number_of_field(std::string_view text, std::string_view key) {
  const auto value = field(text, key);
  return value ? number_at(*value) : std::nullopt;
}

std::optional<PixelSize> size_of_resolution(double x, double y, double micrometres_per_unit, std::string source) {
  if (!(x > 0 && y > 0)) return std::nullopt;
  const PixelSize s{micrometres_per_unit / x, micrometres_per_unit / y, std::move(source)};
  const auto finer = [](double v) { return v > kFinest && v < kCoarsest; };
  return finer(s.x) && finer(s.y) ? std::optional(s) : std::nullopt;
}

ChosenPixelSize choose_pixel_size(std::span<const PixelSize> candidates) {
  if (candidates.empty()) return {};
  const PixelSize& first = candidates.front();
  for (const PixelSize& other : candidates.subspan(1)) {
    const double fx = other.x / first.x, fy = other.y / first.y;
    if (std::abs(fx - 1) <= kAgreed && std::abs(fy - 1) <= kAgreed) continue;
    return {first, "micrometres per pixel are " + size_text(first) + ", but " + size_text(other) + reason_for(fx) +
                       "; the former are used" + advice()};
  }
  const auto usual = [](double v) { return v >= kUsualFinest && v <= kUsualCoarsest; };
  if (!usual(first.x) || !usual(first.y))
    return {first, "micrometres per pixel are " + size_text(first) + ", which is unusual for a microscope" + advice()};
  return {first, ""};
}

ChosenPixelSize tiff_pixel_size(const TiffScale& tiff) {
  std::vector<PixelSize> found;
  for (const Source& s : kSources)
    if (auto size = s.find(tiff)) found.push_back(std::move(*size));
  return choose_pixel_size(found);
}

ChosenPixelSize image_pixel_size(std::span<const uint8_t> file) {
  std::optional<PixelSize> size;
  if (has_text(file, 0, "\x89PNG"))
    size = png_size(file);
  else if (has_text(file, 0, "\xff\xd8"))
    size = jpeg_size_of_pixels(file);
  else if (has_text(file, 0, "BM"))
    size = bmp_size(file);
  return size ? choose_pixel_size({&*size, 1}) : ChosenPixelSize{};
}

}  // namespace cytodet::tiling
