#include "tiling/slides/formats/imagej.h"

#include <algorithm>
#include <charconv>

namespace cytodet::tiling {
namespace {

constexpr size_t kLutBytes = 768;  // 256 reds, 256 greens, 256 blues

std::string_view value_of(std::string_view description, std::string_view key) {
  for (size_t at = 0; at < description.size();) {
    const size_t end = std::min(description.find('\n', at), description.size());
    std::string_view line = description.substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == '=') return line.substr(key.size() + 1);
  }
  return {};
}

int64_t count_of(std::string_view description, std::string_view key, int64_t missing) {
  const std::string_view text = value_of(description, key);
  int64_t value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stopped == text.data() + text.size() && value >= 1 && value <= (int64_t{1} << 31) ? value
                                                                                                                   : missing;
}

}  // namespace

std::optional<ImageJStack> imagej_stack(std::string_view description) {
  if (!description.starts_with("ImageJ=")) return std::nullopt;
  ImageJStack s;
  s.channels = count_of(description, "channels", 1);
  s.slices = count_of(description, "slices", 1);
  s.frames = count_of(description, "frames", 1);
  s.images = count_of(description, "images", 1);
  s.mode = std::string(value_of(description, "mode"));
  if (s.channels == 1 && s.slices == 1 && s.frames == 1) s.slices = s.images;
  return s;
}

std::vector<std::array<uint8_t, 3>> imagej_colours(std::span<const uint8_t> metadata, std::span<const uint32_t> lengths,
                                                   bool big_endian) {
  std::vector<std::array<uint8_t, 3>> colours;
  const auto word = [&](size_t at) {
    uint32_t v = 0;
    for (size_t i = 0; i < 4; ++i) v |= uint32_t{metadata[at + i]} << (big_endian ? 24 - 8 * i : 8 * i);
    return v;
  };
  // lengths[0] is the header's: "IJIJ", then a type and a count of parts each.
  if (lengths.empty() || lengths[0] < 4 || lengths[0] > metadata.size() || word(0) != 0x494a494a) return colours;
  size_t part = 1;
  uint64_t at = lengths[0];
  for (size_t entry = 4; entry + 8 <= lengths[0]; entry += 8) {
    const bool luts = word(entry) == 0x6c757473;  // "luts"
    for (uint32_t i = 0, n = word(entry + 4); i < n; ++i, ++part) {
      if (part >= lengths.size() || lengths[part] > metadata.size() - at) return {};
      if (luts && lengths[part] == kLutBytes) colours.push_back({metadata[at + 255], metadata[at + 511], metadata[at + 767]});
      at += lengths[part];
    }
  }
  return colours;
}

}  // namespace cytodet::tiling
