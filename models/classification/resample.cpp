#include "models/classification/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace cytodet::models {
namespace {

struct Tap {
  int low, high;
  float share;  // of `high`
};

// The two samples that each of `count` pixels from `first` on lies between.
std::vector<Tap> taps_of(int source, int resized, int first, int count, Sampling sampling) {
  const bool corners = sampling == Sampling::align_corners && resized > 1;
  const float scale = corners ? static_cast<float>(source - 1) / static_cast<float>(resized - 1)
                              : static_cast<float>(source) / static_cast<float>(resized);
  std::vector<Tap> taps;
  for (int i = first; i < first + count; ++i) {
    const float x = static_cast<float>(i);
    const float at = sampling == Sampling::half_pixel ? (x + 0.5f) * scale - 0.5f : x * scale, low = std::floor(at);
    taps.push_back({std::max(0, static_cast<int>(low)), std::min(source - 1, static_cast<int>(std::ceil(at))), at - low});
  }
  return taps;
}

void resample_row(const uint8_t* row, const std::vector<Tap>& taps, float* out) {
  for (const Tap& tap : taps) {
    const uint8_t *low = row + 3 * tap.low, *high = row + 3 * tap.high;
    for (int c = 0; c < 3; ++c) {
      const float l = low[c], h = high[c];
      *out++ = l + (h - l) * tap.share;
    }
  }
}

// Two rows of the source, each resampled once while it is needed.
class RowCache {
 public:
  RowCache(const Image& image, const InputWindow& window, const std::vector<Tap>& taps)
      : image_(image), window_(window), taps_(taps) {
    for (Row& r : rows_) r.values.resize(taps.size() * 3);
  }
  // Valid until two other rows are asked for.
  const float* row(int y) {
    for (Row& r : rows_)
      if (r.y == y) return r.values.data();
    Row& r = rows_[next_];
    next_ = 1 - next_;
    r.y = y;
    resample_row(image_.row(window_.source_y + y) + 3 * window_.source_x, taps_, r.values.data());
    return r.values.data();
  }

 private:
  struct Row {
    int y = -1;
    std::vector<float> values;
  };
  const Image& image_;
  const InputWindow& window_;
  const std::vector<Tap>& taps_;
  Row rows_[2];
  size_t next_ = 0;
};

// Columns and rows that float32 still counts one by one.
constexpr int64_t kMaxSide = int64_t{1} << 24;

int long_side(int side, int shorter, const ResizeSettings& resize) {
  const int64_t down = int64_t{resize.short_side} * side / shorter;
  if (down >= kMaxSide)
    throw Error("", "image of " + std::to_string(side) + " x " + std::to_string(shorter) + " pixels is too narrow to be resized",
                "cut out what is to be classified");
  if (resize.rounding == SideRounding::down) return static_cast<int>(down);
  const float scale = static_cast<float>(resize.short_side) / static_cast<float>(shorter);
  return static_cast<int>(std::nearbyint(static_cast<float>(side) * scale));
}

// Pixels off each end of a side, so that the middle `fraction` stays; at least one pixel does.
int cut_off(int side, double fraction) { return std::min(static_cast<int>((side - side * fraction) / 2), (side - 1) / 2); }

}  // namespace

InputWindow input_window(int image_width, int image_height, const InputSettings& input, const ResizeSettings& resize) {
  InputWindow w{0, 0, image_width, image_height, input.width, input.height, 0, 0};
  if (resize.method == ResizeMethod::central_crop) {
    w.source_x = cut_off(image_width, resize.fraction);
    w.source_y = cut_off(image_height, resize.fraction);
    w.source_width -= 2 * w.source_x;
    w.source_height -= 2 * w.source_y;
  } else if (resize.method == ResizeMethod::short_side) {
    const int shorter = std::min(image_width, image_height);
    w.width = image_width == shorter ? resize.short_side : long_side(image_width, shorter, resize);
    w.height = image_height == shorter ? resize.short_side : long_side(image_height, shorter, resize);
    w.offset_x = (w.width - input.width) / 2;
    w.offset_y = (w.height - input.height) / 2;
  }
  return w;
}

void resample(const Image& image, const InputWindow& w, const InputSettings& input, Sampling sampling, float* out) {
  const std::vector<Tap> across = taps_of(w.source_width, w.width, w.offset_x, input.width, sampling),
                         down = taps_of(w.source_height, w.height, w.offset_y, input.height, sampling);
  RowCache rows(image, w, across);
  const int64_t values = int64_t{input.width} * 3;
  for (const Tap& tap : down) {
    const float *top = rows.row(tap.low), *bottom = rows.row(tap.high);
    for (int64_t i = 0; i < values; ++i) out[i] = top[i] + (bottom[i] - top[i]) * tap.share;
    out += values;
  }
}

}  // namespace cytodet::models
