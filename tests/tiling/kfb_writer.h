// Writes .kfb slides (layout: tiling/slides/formats/kfb_file.h), in the forms that writers differ in.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tiling/slides/image_io.h"
#include "tiling/slides/slide.h"

namespace cytodet {

struct KfbWriter {
  int side = 64, scan_scale = 40, levels = 3;
  enum class Place { stated, after_the_first, after_the_index } place = Place::stated;
  bool x_written = true;
  bool whole_tiles = false;           // edge tiles padded to a full side
  std::vector<int> left_out;          // tiles, in the order of the index
  std::vector<std::string> expected;  // RGB of each level, as the tiles decode; what is left out is white

  static constexpr size_t kHeader = 0x5c;

  std::string write(Image image) {
    std::string index, data;
    int count = 0, number = 0;
    const Image base = image;
    for (int level = 0; level < levels; ++level) {
      Image seen(image.width, image.height);
      std::fill(seen.rgb.begin(), seen.rgb.end(), uint8_t{255});
      for (int y = 0; y < image.height; y += side)
        for (int x = 0; x < image.width; x += side) {
          if (std::count(left_out.begin(), left_out.end(), number++)) continue;
          const int w = std::min(side, image.width - x), h = std::min(side, image.height - y);
          Image tile(whole_tiles ? side : w, whole_tiles ? side : h);
          for (int r = 0; r < h; ++r) std::copy_n(image.row(y + r) + x * 3, w * 3, tile.row(r));
          const std::string jpeg = encode_image(tile, true, 85);
          const Image decoded = decode_jpeg({reinterpret_cast<const uint8_t*>(jpeg.data()), jpeg.size()});
          for (int r = 0; r < h; ++r) std::copy_n(decoded.row(r), w * 3, seen.row(y + r) + x * 3);
          std::string entry("\xf1\x04\xee\xee", 4);
          for (int v : {x_written ? x : 0, y, w, h}) put(entry, v);
          put(entry, static_cast<float>(scan_scale) / static_cast<float>(1 << level));
          entry.append(8, '\0');
          put(entry, static_cast<int>(jpeg.size()));
          put(entry, static_cast<int64_t>(data.size()));  // made relative below
          entry.resize(64);
          index += entry;
          data += jpeg;
          ++count;
        }
      expected.emplace_back(seen.rgb.begin(), seen.rgb.end());
      Image half(image.width / 2, image.height / 2);
      Image even(half.width * 2, half.height * 2);
      for (int r = 0; r < even.height; ++r) std::copy_n(image.row(r), even.width * 3, even.row(r));
      downsample_by_mean(even, 2, half.rgb.data());
      image = std::move(half);
    }
    const bool before = place != Place::after_the_index;
    const auto start = static_cast<int64_t>(kHeader + (before ? data.size() : 0));
    for (size_t i = 0; i < index.size(); i += 64) {
      int64_t at;
      std::memcpy(&at, &index[i + 36], 8);
      at += static_cast<int64_t>(kHeader) - start;
      if (place == Place::after_the_first && i > 0) at = 7777777;  // nonsense
      if (place == Place::after_the_index) at = int64_t{1} << 60;
      std::memcpy(&index[i + 36], &at, 8);
    }
    std::string head("\xf1\x01\xee\xeeKFB\0\0\0\0\0", 12);
    put(head, 1.6f);
    for (int v : {count, base.height, base.width, scan_scale}) put(head, v);
    head += "JPEG";
    head.resize(0x3c);
    put(head, start + static_cast<int64_t>(index.size()));
    put(head, start);
    put(head, 0.25f);
    head.append(8, '\0');
    put(head, side);
    return before ? head + data + index : head + index + data;
  }

 private:
  template <class T>
  static void put(std::string& s, T v) {
    s.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
};

}  // namespace cytodet
