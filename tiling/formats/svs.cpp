// Aperio .svs read as the tiled JPEG TIFF it is. ImageDescription: "Aperio ...|AppMag = 20|MPP = 0.4990|...". What is not plain
// JPEG (JPEG 2000), and slides with stored tiles left out, which OpenSlide draws from finer levels, are left to OpenSlide.
#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "tiling/formats/rows.h"
#include "tiling/formats/tiff_slide.h"

namespace cytodet {
namespace {

// Value of "key = value" among fields that "|" parts.
std::optional<double> number_of(const std::string& description, const std::string& key) {
  for (size_t at = 0; at < description.size();) {
    const size_t end = std::min(description.find('|', at), description.size());
    const std::string field = description.substr(at, end - at);
    at = end + 1;
    const size_t eq = field.find(" = ");
    if (eq == std::string::npos || field.substr(0, eq) != key) continue;
    std::string text = field.substr(eq + 3);
    std::replace(text.begin(), text.end(), ',', '.');
    double value = 0;
    const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && value > 0 && value < 1000) return value;
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Slide> open_svs(const std::string& path, const ImageSelection&) {
  try {
    TiffFile file(path);
    const TiffDirectory first = file.open(false, 0);
    const std::string description = file.description();
    if (!first.tiled || !description.starts_with("Aperio") || first.orientation != 1) return nullptr;
    std::vector<int64_t> widths;  // OpenSlide: every tiled image is a level, in their order
    for (int i = 0, n = file.images(); i < n; ++i) {
      const TiffDirectory d = file.open(false, static_cast<uint64_t>(i));
      if (!d.tiled) continue;
      if (!d.plain_jpeg || !file.complete(d)) return nullptr;
      widths.push_back(d.width);
    }
    auto slide = std::make_unique<TiffSlide>(path);
    if (slide->levels.size() != widths.size()) return nullptr;
    for (size_t i = 0; i < widths.size(); ++i)
      if (slide->levels[i].width != widths[i]) return nullptr;
    slide->mpp_x = slide->mpp_y = number_of(description, "MPP");
    slide->mpp_source = slide->mpp_x ? "aperio.MPP" : "";
    return slide;
  } catch (const Error&) {
    return nullptr;  // the rows below say what is wrong with it
  }
}

}  // namespace cytodet
