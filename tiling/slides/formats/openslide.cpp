#include <dlfcn.h>
#include <openslide/openslide.h>
#include <tiffio.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

#include "core/error.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/slides/formats/physical_size.h"
#include "tiling/slides/level_ratio.h"

namespace cytodet::tiling {
namespace {

// The last thing that GLib was given on this thread, which is where OpenSlide says why it takes a file for another format.
std::string& last_words() {
  static thread_local std::string words;
  return words;
}

// One line of at most 160 bytes.
std::string one_line(const char* text) {
  std::string line(text ? text : "");
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return line.size() > 160 ? line.substr(0, 157) + "..." : line;
}

// What libtiff and GLib print must not reach the user's terminal; GLib's is kept for messages. GLib comes with OpenSlide but its
// headers do not, hence the look-up.
void silence_libraries() {
  static std::once_flag once;
  std::call_once(once, [] {
    TIFFSetWarningHandler(nullptr);
    TIFFSetErrorHandler(nullptr);
    using LogHandler = void (*)(const char*, int, const char*, void*);
    using SetDefaultHandler = LogHandler (*)(LogHandler, void*);
    if (auto set = reinterpret_cast<SetDefaultHandler>(dlsym(RTLD_DEFAULT, "g_log_set_default_handler")))
      set([](const char*, int, const char* message, void*) { last_words() = one_line(message); }, nullptr);
  });
}

constexpr int64_t kFarthestPixel = int64_t{1} << 40;  // pixels; no slide is larger

struct SlideCloser {
  void operator()(openslide_t* s) const { openslide_close(s); }
};
using HandlePtr = std::unique_ptr<openslide_t, SlideCloser>;

HandlePtr open_handle(const std::string& path) {
  silence_libraries();
  last_words().clear();
  HandlePtr s(openslide_open(path.c_str()));
  const std::string warned = last_words().empty() ? "" : " (" + last_words() + ")";
  if (!s) throw Error("", "OpenSlide does not know the format" + warned, "check the file");
  if (const char* e = openslide_get_error(s.get()))
    throw Error("", "OpenSlide: " + one_line(e) + (warned.find(e) == std::string::npos ? warned : ""), "restore the file");
  return s;
}

// Focal planes of a Hamamatsu NDPI: its images give their height over the middle one in tag 65424. 1 where they do not, and where
// the file is no TIFF that libtiff reads.
int ndpi_planes(const std::string& path) {
  constexpr uint32_t kOffsetZ = 65424;
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  TIFF* tiff = TIFFOpenExt(path.c_str(), "rm", options);
  TIFFOpenOptionsFree(options);
  if (!tiff) return 1;
  std::set<int32_t> offsets{0};
  int left = 4096;
  do {
    uint32_t count = 0;
    const int32_t* offset = nullptr;
    const TIFFField* field = TIFFFindField(tiff, kOffsetZ, TIFF_ANY);
    if (field && TIFFFieldDataType(field) == TIFF_SLONG && TIFFGetField(tiff, kOffsetZ, &count, &offset) && count == 1 && offset)
      offsets.insert(*offset);
  } while (--left > 0 && TIFFReadDirectory(tiff));
  TIFFClose(tiff);
  return static_cast<int>(offsets.size());
}

// An error in one region makes an OpenSlide handle useless for good, so regions are read on handles that are thrown away after an
// error.
class OpenSlideSlide : public Slide {
 public:
  explicit OpenSlideSlide(const std::string& file) {
    path = file;
    HandlePtr s = open_handle(file);
    int count = openslide_get_level_count(s.get());
    for (int i = 0; i < count; ++i) {
      LevelInfo level;
      openslide_get_level_dimensions(s.get(), i, &level.width, &level.height);
      level.downsample = openslide_get_level_downsample(s.get(), i);
      auto side = [&](const char* name) -> int64_t {
        const char* text = openslide_get_property_value(s.get(), ("openslide.level[" + std::to_string(i) + "]." + name).c_str());
        return text ? std::max(0LL, std::strtoll(text, nullptr, 10)) : 0;
      };
      level.tile_width = side("tile-width");
      level.tile_height = side("tile-height");
      level.codec = "through OpenSlide";
      own_downsample_.push_back(level.downsample);
      if (level.width <= 0 || level.height <= 0) throw Error("", "level " + std::to_string(i) + " is empty", "restore the file");
      levels.push_back(level);
    }
    if (levels.empty()) throw Error("", "the slide has no levels", "restore the file");
    read_pixel_size(s.get());
    read_bounds(s.get());
    if (const char* colour = openslide_get_property_value(s.get(), OPENSLIDE_PROPERTY_NAME_BACKGROUND_COLOR))
      background_ = static_cast<uint32_t>(std::strtoul(colour, nullptr, 16));
    kept_bytes = int64_t{32} << 20;  // OpenSlide's own, of each handle
    list_contents(s.get());
    idle_.push_back(std::move(s));
    settle_level_ratios(*this);
  }

  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    HandlePtr s = take();
    std::vector<uint32_t> argb(static_cast<size_t>(w) * static_cast<size_t>(h));
    const double down = own_downsample_[static_cast<size_t>(level)];
    openslide_read_region(s.get(), argb.data(), static_cast<int64_t>(static_cast<double>(x) * down + (x < 0 ? -0.5 : 0.5)),
                          static_cast<int64_t>(static_cast<double>(y) * down + (y < 0 ? -0.5 : 0.5)), level, w, h);
    if (const char* e = openslide_get_error(s.get()))
      throw Error(
          "",
          "OpenSlide: level " + std::to_string(level) + ", region at " + std::to_string(x) + "," + std::to_string(y) + ": " + e,
          "restore the file");
    {
      std::lock_guard lock(mutex_);
      idle_.push_back(std::move(s));
    }
    for (uint32_t p : argb) {
      uint32_t a = p >> 24;
      for (int shift = 16; shift >= 0; shift -= 8)
        *rgb++ = static_cast<uint8_t>(
            std::min<uint32_t>(255, ((p >> shift) & 255) + ((background_ >> shift) & 255) * (255 - a) / 255));
    }
  }

 private:
  void list_contents(openslide_t* s) {
    const char* vendor = openslide_get_property_value(s, OPENSLIDE_PROPERTY_NAME_VENDOR);
    contents.kind = vendor ? vendor : "";
    for (const char* const* name = openslide_get_associated_image_names(s); name && *name; ++name) {
      HeldImage h{.kind = *name, .auxiliary = true};
      openslide_get_associated_image_dimensions(s, *name, &h.width, &h.height);
      contents.others.push_back(std::move(h));
    }
    if (contents.kind != "hamamatsu") return;
    contents.planes = ndpi_planes(path);
    if (contents.planes > 1) {
      selection = "focal plane 0";
      warnings.push_back("holds " + std::to_string(contents.planes) +
                         " focal planes; OpenSlide reads the one at 0, the others cannot be analysed");
    }
  }

  // What OpenSlide says, and beside it the resolution of a slide that is a TIFF.
  void read_pixel_size(openslide_t* s) {
    const auto number = [&](const char* name) {
      const char* text = openslide_get_property_value(s, name);
      double v = 0;  // read with a point whatever the locale
      while (text && (*text == ' ' || *text == '+')) ++text;
      if (text) std::from_chars(text, text + std::strlen(text), v);
      return v > 0 && v < 1e12 ? v : 0;
    };
    std::vector<PixelSize> found;
    const double x = number(OPENSLIDE_PROPERTY_NAME_MPP_X), y = number(OPENSLIDE_PROPERTY_NAME_MPP_Y);
    if (x > 0) found.push_back({x, y > 0 ? y : x, OPENSLIDE_PROPERTY_NAME_MPP_X});
    const char* unit = openslide_get_property_value(s, "tiff.ResolutionUnit");
    if (const auto scale = unit ? micrometres_in(unit) : std::nullopt)
      if (const auto size =
              size_of_resolution(number("tiff.XResolution"), number("tiff.YResolution"), *scale, "tiff.XResolution"))
        found.push_back(*size);
    const ChosenPixelSize chosen = choose_pixel_size(found);
    if (!chosen.size) return;
    mpp_x = chosen.size->x;
    mpp_y = chosen.size->y;
    mpp_source = chosen.size->source;
    mpp_warning = chosen.warning;
  }

  // The area {x, y, width, height} [level-0 pixels] that four OpenSlide properties (`prefix` + x, y, width, height) give, clipped
  // to level 0.
  std::optional<PixelArea> area_of(openslide_t* s, const std::string& prefix) const {
    const auto whole = [&](const char* name, int64_t min) -> std::optional<int64_t> {
      const char* text = openslide_get_property_value(s, (prefix + name).c_str());
      if (!text) return std::nullopt;
      int64_t v = 0;
      const char* end = text + std::strlen(text);
      const auto [stopped, error] = std::from_chars(text, end, v);
      return error == std::errc() && stopped == end && v >= min && v <= kFarthestPixel ? std::optional(v) : std::nullopt;
    };
    const auto x = whole("x", 0), y = whole("y", 0), w = whole("width", 1), h = whole("height", 1);
    if (!x || !y || !w || !h || *x >= width() || *y >= height()) return std::nullopt;
    return PixelArea{*x, *y, std::min(*w, width() - *x), std::min(*h, height() - *y)};
  }

  void read_bounds(openslide_t* s) {
    constexpr int kMaxParts = 1000;
    bounds = area_of(s, "openslide.bounds-");
    for (int i = 0; i < kMaxParts; ++i) {
      const auto part = area_of(s, "openslide.region[" + std::to_string(i) + "].");
      if (!part) break;
      parts.push_back(*part);
    }
  }

  HandlePtr take() const {
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        HandlePtr s = std::move(idle_.back());
        idle_.pop_back();
        return s;
      }
    }
    return open_handle(path);
  }
  std::vector<double> own_downsample_;  // OpenSlide's of each level, which its coordinates are made with
  uint32_t background_ = 0xffffff;
  mutable std::mutex mutex_;
  mutable std::vector<HandlePtr> idle_;
};

}  // namespace

std::unique_ptr<Slide> open_openslide(const std::string& path, const ImageSelection&) {
  return std::make_unique<OpenSlideSlide>(path);
}

std::string openslide_complaint(const std::string& path) {
  silence_libraries();
  last_words().clear();
  const HandlePtr s(openslide_open(path.c_str()));
  const char* error = s ? openslide_get_error(s.get()) : nullptr;
  return error ? one_line(error) : last_words();
}

std::string openslide_vendor(const std::string& path) {
  silence_libraries();
  const char* vendor = openslide_detect_vendor(path.c_str());
  return vendor ? vendor : "";
}

}  // namespace cytodet::tiling
