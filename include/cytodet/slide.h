// Slide: an image or slide file of any size, read region by region.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cytodet/detail.h"
#include "cytodet/image.h"

namespace cytodet {

// Which image of a file that holds several; numbers count from 0. What is not set is the only one, or the one that the format
// means.
struct SlideOptions {
  std::optional<int> series = {}, page = {}, plane = {}, time = {};
  std::string channel = {};  // number or name of one, shown as gray; or of three with commas: red, green, blue
  std::string stretch = {};  // how samples of other depths become 8 bits: none (default), auto, a number of bits, "MIN,MAX"
};

struct Level {
  std::int64_t width = 0, height = 0;  // pixels
  double downsample = 1;               // level-0 pixels per pixel
};

// Several threads may read from one Slide at once.
class Slide {
 public:
  // By content, whatever the file's name. Throws Error: missing, damaged, of no known format.
  explicit Slide(const std::string& path, const SlideOptions& options = {}) {
    detail::Settings s;
    s.set("series", options.series);
    s.set("page", options.page);
    s.set("plane", options.plane);
    s.set("time", options.time);
    s.set("channel", options.channel);
    s.set("stretch", options.stretch);
    handle_.reset(detail::call([&](cytodet_error** error) { return cytodet_slide_open(path.c_str(), s.get(), error); }));
  }

  std::string format() const { return cytodet_slide_format(get()); }  // name of the format: "svs", "tiff", "jpeg", ...
  std::int64_t width() const { return cytodet_slide_width(get()); }   // of level 0, pixels
  std::int64_t height() const { return cytodet_slide_height(get()); }
  // Level 0, the largest, first.
  std::vector<Level> levels() const {
    std::vector<Level> all;
    for (std::int32_t l = 0; l < cytodet_slide_level_count(get()); ++l)
      all.push_back(
          {cytodet_slide_level_width(get(), l), cytodet_slide_level_height(get(), l), cytodet_slide_level_downsample(get(), l)});
    return all;
  }
  double mpp_x() const { return cytodet_slide_mpp_x(get()); }  // micrometres per level-0 pixel; 0: the file does not say
  double mpp_y() const { return cytodet_slide_mpp_y(get()); }
  std::string mpp_source() const { return cytodet_slide_mpp_source(get()); }    // the property that gave them
  std::string mpp_warning() const { return cytodet_slide_mpp_warning(get()); }  // why they may be wrong; empty: nothing
  // What was scanned of a larger canvas, level-0 pixels; all of level 0 where the file does not say.
  Box bounds() const {
    std::array<std::int64_t, 4> b{};
    cytodet_slide_bounds(get(), b.data());
    return {static_cast<double>(b[0]), static_cast<double>(b[1]), static_cast<double>(b[0] + b[2]),
            static_cast<double>(b[1] + b[3])};
  }
  std::vector<std::string> warnings() const {
    return detail::texts<cytodet_slide>(get(), cytodet_slide_warning_count, cytodet_slide_warning);
  }

  // Pixels [x, x + width) x [y, y + height) of a level, in pixels of that level; outside the slide is white. Throws Error: no
  // such level, a size that is not positive, stored data that is damaged.
  Image read(int level, std::int64_t x, std::int64_t y, int width, int height) const {
    Image image = make(width, height);
    detail::call([&](cytodet_error** error) {
      return cytodet_slide_read(get(), level, x, y, width, height, image.rgb.data(), 0, image.rgb.size(), error);
    });
    return image;
  }
  // An area of level-0 pixels as width x height pixels, from the coarsest level that is no coarser: shrinking takes the mean,
  // enlarging is bilinear.
  Image read_scaled(const Box& area, int width, int height) const {
    Image image = make(width, height);
    detail::call([&](cytodet_error** error) {
      return cytodet_slide_read_scaled(get(), area.x0, area.y0, area.x1, area.y1, width, height, image.rgb.data(), 0,
                                       image.rgb.size(), error);
    });
    return image;
  }
  // What was scanned, its longer side max_side pixels.
  Image thumbnail(int max_side) const {
    const Box b = bounds();
    const double w = b.x1 - b.x0, h = b.y1 - b.y0, scale = max_side / (w > h ? w : h);
    const auto side = [&](double full) {
      return std::lround(full * scale) < 1 ? 1 : static_cast<int>(std::lround(full * scale));
    };
    return read_scaled(b, side(w), side(h));
  }

  const cytodet_slide* get() const { return handle_.get(); }

 private:
  // Sizes that cannot be are refused by the call that reads.
  static Image make(int width, int height) {
    Image image;
    image.width = width;
    image.height = height;
    image.rgb.resize(width > 0 && height > 0 ? static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3 : 1);
    return image;
  }

  detail::Handle<cytodet_slide, cytodet_slide_free> handle_;
};

}  // namespace cytodet
