#include "tiling/slides/image_selection.h"

#include <charconv>
#include <cmath>

#include "core/error.h"
#include "core/settings.h"

namespace cytodet::tiling {
namespace {

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stopped != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

void fields(Fields& f, ImageSelection& s) {
  f("series", s.series);
  f("page", s.page);
  f("plane", s.plane);
  f("time", s.time);
  f("channel", s.channel);
  f("stretch", s.stretch);
}

void check(const ImageSelection& s) {
  const auto not_negative = [](const char* name, const std::optional<int>& n) {
    if (n && *n < 0) throw UsageError(std::string("selection.") + name, "must be 0 or more; it counts from 0");
  };
  not_negative("series", s.series);
  not_negative("page", s.page);
  not_negative("plane", s.plane);
  not_negative("time", s.time);
  if (s.page && (s.series || s.plane || s.time))
    throw UsageError("selection.page", "names one image of the file by itself", "leave out series, plane and time");
  if (const size_t n = channels_of(s).size(); !s.channel.empty() && n != 1 && n != 3)
    throw UsageError("selection.channel", "must be one channel, or three for red, green, blue, not " + std::to_string(n));
  parse_stretch(s.stretch);
}

std::vector<std::string> channels_of(const ImageSelection& s) {
  std::vector<std::string> parts;
  for (size_t at = 0; !s.channel.empty() && at <= s.channel.size();) {
    const size_t end = std::min(s.channel.find(',', at), s.channel.size());
    parts.push_back(s.channel.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

Stretch parse_stretch(std::string_view text) {
  if (text == "none") return {};
  if (text == "auto") return {Stretch::Kind::automatic, {}};
  if (const size_t comma = text.find(','); comma != std::string_view::npos) {
    const auto low = number(text.substr(0, comma)), high = number(text.substr(comma + 1));
    if (low && high && *low < *high) return {Stretch::Kind::range, {*low, *high}};
  } else if (const auto bits = number(text); bits && *bits >= 1 && *bits <= 32 && *bits == std::floor(*bits)) {
    return {Stretch::Kind::range, {0, std::exp2(*bits) - 1}};
  }
  throw UsageError("selection.stretch",
                   "must be none, auto, a number of bits from 1 to 32, or MIN,MAX, not \"" + std::string(text) + "\"");
}

int bits_for(double largest) { return largest < 1 ? 1 : static_cast<int>(std::floor(std::log2(largest))) + 1; }

}  // namespace cytodet::tiling
