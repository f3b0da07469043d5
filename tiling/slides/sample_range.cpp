#include "tiling/slides/sample_range.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "tiling/slides/stored_blocks.h"

namespace cytodet::tiling {
namespace {

constexpr int kDark = 64;  // 8-bit images of which no value met is as bright as this are taken for data of fewer bits

std::string plain(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// The largest value of 3 x 3 regions of a level, of at most 256 x 256 pixels; ends where `enough` is reached. Regions that are
// damaged are left out; -1: all are.
int largest_value(const Slide& slide, size_t level, int enough) {
  const LevelInfo& l = slide.levels[level];
  const int width = static_cast<int>(std::min<int64_t>(256, l.width)),
            height = static_cast<int>(std::min<int64_t>(256, l.height));
  std::vector<uint8_t> rgb(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  int largest = -1;
  // The middle first; of what can only be decoded from the top on, the top.
  constexpr std::array kMiddle{4, 0, 2, 6, 8, 1, 3, 5, 7}, kTop{1, 0, 2, 4, 3, 5, 7, 6, 8};
  for (int place : plan_reads(slide, static_cast<int>(level), height, 1).in_order ? kTop : kMiddle) try {
      slide.read(static_cast<int>(level), (l.width - width) * (place % 3) / 2, (l.height - height) * (place / 3) / 2, width,
                 height, rgb.data());
      for (uint8_t v : rgb)
        if (v > largest && (largest = v) >= enough) return largest;
    } catch (const Error&) {
    }
  return largest;
}

class StretchedSlide : public Slide {
 public:
  StretchedSlide(std::unique_ptr<Slide> slide, const StretchRange& range) : Slide(*slide), slide_(std::move(slide)) {
    for (int i = 0; i < 256; ++i)
      table_[static_cast<size_t>(i)] =
          static_cast<uint8_t>(std::lround(std::clamp((i - range.low) / (range.high - range.low), 0.0, 1.0) * 255));
    stretched = true;
    say_range(selection, range);
  }
  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    slide_->read(level, x, y, w, h, rgb);
    stretch(level, x, y, w, h, 1, rgb);
  }
  void read_downsampled(int level, int64_t x, int64_t y, int w, int h, int factor, uint8_t* rgb) const override {
    slide_->read_downsampled(level, x, y, w, h, factor, rgb);
    stretch(level, x, y, w, h, factor, rgb);
  }

 private:
  // Inside the slide only: what lies outside stays white.
  void stretch(int level, int64_t x, int64_t y, int w, int h, int factor, uint8_t* rgb) const {
    const LevelInfo& l = levels[static_cast<size_t>(level)];
    const int64_t width = (w + factor - 1) / factor, height = (h + factor - 1) / factor;
    for (int64_t row = 0; row < height; ++row) {
      const int64_t py = y + row * factor;
      if (py + factor <= 0 || py >= l.height) continue;
      for (int64_t column = 0; column < width; ++column) {
        const int64_t px = x + column * factor;
        if (px + factor <= 0 || px >= l.width) continue;
        uint8_t* p = rgb + (row * width + column) * 3;
        for (int c = 0; c < 3; ++c) p[c] = table_[p[c]];
      }
    }
  }

  std::unique_ptr<Slide> slide_;
  std::array<uint8_t, 256> table_{};
};

}  // namespace

std::string unused_depth(double largest, int bits, double stated) {
  const int used = bits_for(largest);
  std::string text = "holds samples of " + std::to_string(bits) + " bits of which the largest value met is " + plain(largest);
  if (stated > 0 && stated < std::exp2(bits) - 1) text += " (the file states " + plain(stated) + ")";
  return text + ", so it is analysed darker than it was taken; --stretch " + std::to_string(used) + " makes values up to " +
         plain(std::exp2(used) - 1) + " white";
}

void say_range(std::string& selection, const StretchRange& range) {
  selection += (selection.empty() ? "" : ", ") + std::string("values ") + plain(range.low) + " to " + plain(range.high) +
               " as black to white";
}

void notice_dark(Slide& slide) {
  if (slide.contents.bits > 8 || slide.stretched || slide.levels.empty()) return;
  int largest = largest_value(slide, slide.levels.size() - 1, kDark);
  if (largest >= kDark) return;
  if (slide.levels.size() > 1) largest = std::max(largest, largest_value(slide, 0, kDark));
  if (largest >= 0 && largest < kDark) slide.warnings.push_back(unused_depth(largest, 8, 0));
}

std::unique_ptr<Slide> stretched_slide(std::unique_ptr<Slide> slide, const Stretch& stretch) {
  if (stretch.kind == Stretch::Kind::none || slide->stretched) return slide;
  StretchRange range = stretch.range;
  if (stretch.kind == Stretch::Kind::automatic) {
    const int coarse = largest_value(*slide, slide->levels.size() - 1, 256);
    const int largest = std::max(coarse, slide->levels.size() > 1 ? largest_value(*slide, 0, 256) : -1);
    range = {0, std::exp2(bits_for(largest)) - 1};
  }
  return std::make_unique<StretchedSlide>(std::move(slide), range);
}

}  // namespace cytodet::tiling
