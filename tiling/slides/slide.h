// Slide: an image of any size with pyramid levels, readable region by region from many threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/image.h"
#include "tiling/slides/image_selection.h"

namespace cytodet::tiling {

struct LevelInfo {
  int64_t width = 0, height = 0;
  double downsample = 1;  // level-0 pixels per pixel
  // How it is stored, where the format says: size of a stored tile or strip (0: unknown), and codec.
  int64_t tile_width = 0, tile_height = 0;
  std::string codec;
};

// A rectangle of whole level-0 pixels.
struct PixelArea {
  int64_t x = 0, y = 0, width = 0, height = 0;
  friend bool operator==(const PixelArea&, const PixelArea&) = default;
};

class Slide {
 public:
  virtual ~Slide() = default;

  // Pixels [x, x + w) x [y, y + h) of a level into rgb (rows of w * 3 bytes); outside the slide is white. Safe from many
  // threads. Throws Error (without the file: the caller adds it) when the stored data is damaged.
  virtual void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const = 0;

  // The pixels of read(), each factor x factor of them made one: rgb gets ceil(h / factor) rows of ceil(w / factor) * 3 bytes. A
  // pixel is the mean of those it covers; if x and y are multiples of factor, a format may take its codec's own reduction
  // instead, which differs from the mean by what the codec filters, and at the slide's right and lower edge by what is stored
  // beyond it.
  virtual void read_downsampled(int level, int64_t x, int64_t y, int w, int h, int factor, uint8_t* rgb) const;

  int64_t width() const { return levels[0].width; }
  int64_t height() const { return levels[0].height; }

  std::string path, format;            // format: name of the entry that opened it
  std::vector<LevelInfo> levels;       // level 0 first
  std::optional<double> mpp_x, mpp_y;  // micrometres per level-0 pixel
  std::string mpp_source;              // property that gave it
  std::string mpp_warning;          // why it may be wrong: another property of the file disagrees; empty: nothing speaks against
  std::optional<PixelArea> bounds;  // what was scanned of a larger canvas, where the format gives it
  std::vector<PixelArea> parts;     // and where that is several parts with nothing between them, these; empty: all of bounds
  std::string damage;               // of what a slide can be read without: levels that may be missing, and why; empty: none
  int64_t kept_bytes = 0;           // most that is kept of decoded pixels between reads
  bool stretched = false;           // pixels are stretched as the selection asks
  SlideContents contents;
  std::string selection;              // in words, what is analysed of several: "focal plane 2 of 5"; empty: there is no choice
  std::vector<std::string> warnings;  // what of consequence was left out or looks wrong, each one sentence without the file
};

// An entry of the table of formats. `detect` decides by bytes [0, 16) of the file whether `open` is tried; `open` throws Error
// when the file cannot be read, or returns null to leave it to the entries below.
struct SlideFormat {
  const char* name;
  // Properties that may hold the micrometres per pixel, as an error names them; empty: plain images, which are decoded whole when
  // opened and seldom have any.
  const char* mpp_properties;
  bool (*detect)(const std::string& path, std::span<const uint8_t> head);
  std::unique_ptr<Slide> (*open)(const std::string& path, const ImageSelection& selection);
  bool selects;  // `open` applies the selection; else open_slide checks that the selection asks for nothing but the only image
};
std::span<const SlideFormat> slide_formats();

// Opens a slide by its content, not its extension. Errors name the file: missing, folder, empty, of no known format, damaged, too
// large.
std::unique_ptr<Slide> open_slide(const std::filesystem::path& path, const ImageSelection& selection = {});

// The same, but null for a plain image, which is not decoded.
std::unique_ptr<Slide> open_measured_slide(const std::filesystem::path& path, const ImageSelection& selection = {});

// What a TIFF holds, also where open_slide refuses it for holding several images; empty: no TIFF, or damaged.
std::optional<SlideContents> list_contents(const std::filesystem::path& path);

// What was looked for in a slide that does not say its micrometres per pixel, for messages.
std::string mpp_properties_of(const Slide& slide);

// Names and versions of the libraries behind the formats.
std::vector<std::pair<std::string, std::string>> slide_libraries();

// Largest plain image that is decoded whole.
constexpr int64_t kMaxImagePixels = int64_t{400} << 20;

// A slide of one level held in memory.
std::unique_ptr<Slide> make_memory_slide(Image image);

// Rows of ceil(width / factor) * 3 bytes, each pixel the mean of factor x factor; the last row and column take what there is.
void downsample_by_mean(const Image& image, int factor, uint8_t* rgb);

}  // namespace cytodet::tiling
