// TIFF through libtiff: tiled or striped, pyramids by directories or SubIFDs, any pixel form that libtiff turns into RGBA. Stored
// tiles are decoded one at a time and kept in a small cache, so that overlapping regions decode each once.
#include <tiffio.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <map>
#include <mutex>

#include "core/error.h"
#include "tiling/formats/rows.h"

namespace cytodet {
namespace {

constexpr int64_t kMaxBlockPixels = int64_t{64} << 20;  // of one stored tile or strip
constexpr int64_t kCacheBytes = int64_t{64} << 20;
constexpr int kMaxDirectories = 256;

struct Handle {
  TIFF* tiff = nullptr;
  std::string error;
  ~Handle() {
    if (tiff) TIFFClose(tiff);
  }
};

int on_error(TIFF*, void* user, const char* module, const char* format, va_list arguments) {
  auto* handle = static_cast<Handle*>(user);
  char text[512];
  vsnprintf(text, sizeof text, format, arguments);
  (void)module;
  if (handle->error.empty()) handle->error = text;
  return 1;
}
int on_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

std::unique_ptr<Handle> open_handle(const std::string& path) {
  auto handle = std::make_unique<Handle>();
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, handle.get());
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, nullptr);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, tmsize_t{512} << 20);
  handle->tiff = TIFFOpenExt(path.c_str(), "rm", options);
  TIFFOpenOptionsFree(options);
  if (!handle->tiff) throw Error("", "damaged TIFF: " + handle->error, "restore the file");
  return handle;
}

struct Directory {
  bool sub = false;
  uint64_t where = 0;  // directory number, or offset of a SubIFD
  int64_t width = 0, height = 0;
  int64_t block_width = 0, block_height = 0;
  bool tiled = false;
  uint16_t orientation = 1;
};

void select(Handle& h, const Directory& d) {
  bool ok = d.sub ? TIFFSetSubDirectory(h.tiff, d.where) : TIFFSetDirectory(h.tiff, static_cast<tdir_t>(d.where));
  if (!ok) throw Error("", "damaged TIFF: " + h.error, "restore the file");
}

// The current directory; throws Error when libtiff could not turn it into RGB.
Directory describe(Handle& h, bool sub, uint64_t where) {
  Directory d{sub, where};
  uint32_t w = 0, hgt = 0, bw = 0, bh = 0;
  TIFFGetField(h.tiff, TIFFTAG_IMAGEWIDTH, &w);
  TIFFGetField(h.tiff, TIFFTAG_IMAGELENGTH, &hgt);
  if (w == 0 || hgt == 0) throw Error("", "damaged TIFF: the image is " + std::to_string(w) + " x " + std::to_string(hgt) + " pixels", "restore the file");
  d.width = w;
  d.height = hgt;
  d.tiled = TIFFIsTiled(h.tiff);
  if (d.tiled) {
    TIFFGetField(h.tiff, TIFFTAG_TILEWIDTH, &bw);
    TIFFGetField(h.tiff, TIFFTAG_TILELENGTH, &bh);
  } else {
    bw = w;
    TIFFGetFieldDefaulted(h.tiff, TIFFTAG_ROWSPERSTRIP, &bh);
    bh = std::min(bh, hgt);
  }
  if (bw == 0 || bh == 0 || static_cast<int64_t>(bw) > kMaxBlockPixels / bh)
    throw Error("", "TIFF with stored tiles or strips of " + std::to_string(bw) + " x " + std::to_string(bh) + " pixels cannot be read", "save it with smaller tiles");
  d.block_width = bw;
  d.block_height = bh;
  TIFFGetFieldDefaulted(h.tiff, TIFFTAG_ORIENTATION, &d.orientation);
  uint16_t samples = 1, bits = 8, compression = 1;
  TIFFGetFieldDefaulted(h.tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(h.tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(h.tiff, TIFFTAG_COMPRESSION, &compression);
  if (!TIFFIsCODECConfigured(compression)) throw Error("", "TIFF compression " + std::to_string(compression) + " is not supported", "save it with another compression");
  char why[1024] = "";
  if (!TIFFRGBAImageOK(h.tiff, why)) throw Error("", std::string("TIFF cannot be turned into RGB: ") + why, "save it as 8-bit RGB");
  return d;
}

class TiffSlide : public Slide {
 public:
  explicit TiffSlide(const std::string& file) {
    path = file;
    std::unique_ptr<Handle> h = open_handle(file);
    Directory first = describe(*h, false, 0);
    directories_.push_back(first);
    read_mpp(*h);
    collect(*h, first);
    std::sort(directories_.begin() + 1, directories_.end(), [](const Directory& a, const Directory& b) { return a.width > b.width; });
    for (const Directory& d : directories_) {
      double down = d.width == first.width ? 1 : (static_cast<double>(first.width) / d.width + static_cast<double>(first.height) / d.height) / 2;
      levels.push_back({d.width, d.height, down});
    }
    give_back(std::move(h));
  }

  uint16_t orientation() const { return directories_[0].orientation; }

  void read(int level, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    const Directory& d = directories_[static_cast<size_t>(level)];
    std::memset(rgb, 255, static_cast<size_t>(w) * static_cast<size_t>(h) * 3);
    int64_t x0 = std::max<int64_t>(0, x), y0 = std::max<int64_t>(0, y), x1 = std::min(d.width, x + w), y1 = std::min(d.height, y + h);
    if (x0 >= x1 || y0 >= y1) return;
    for (int64_t by = y0 / d.block_height; by * d.block_height < y1; ++by)
      for (int64_t bx = x0 / d.block_width; bx * d.block_width < x1; ++bx) {
        std::shared_ptr<const std::vector<uint8_t>> block = get_block(level, bx, by);
        int64_t left = bx * d.block_width, top = by * d.block_height;
        int64_t cx0 = std::max(x0, left), cx1 = std::min(x1, left + d.block_width), cy1 = std::min(y1, top + d.block_height);
        for (int64_t yy = std::max(y0, top); yy < cy1; ++yy)
          std::memcpy(rgb + ((yy - y) * w + (cx0 - x)) * 3, block->data() + ((yy - top) * d.block_width + (cx0 - left)) * 3, static_cast<size_t>(cx1 - cx0) * 3);
      }
  }

 private:
  using Block = std::shared_ptr<const std::vector<uint8_t>>;
  using Key = std::tuple<int, int64_t, int64_t>;

  // Levels are the smaller directories of the same shape; labels, thumbnails of another shape and masks are left out.
  void consider(Handle& h, bool sub, uint64_t where, const Directory& first) {
    Directory d;
    try {
      d = describe(h, sub, where);
    } catch (const Error&) {
      return;  // not a level that can be read
    }
    uint32_t type = 0;
    TIFFGetField(h.tiff, TIFFTAG_SUBFILETYPE, &type);
    double rx = static_cast<double>(first.width) / static_cast<double>(d.width), ry = static_cast<double>(first.height) / static_cast<double>(d.height);
    bool smaller = d.width < first.width && std::abs(rx / ry - 1) < 0.02 + 2.0 / static_cast<double>(std::min(d.width, d.height));
    if (smaller && !(type & FILETYPE_MASK) && d.orientation == first.orientation && (d.tiled || (type & FILETYPE_REDUCEDIMAGE))) directories_.push_back(d);
  }

  void collect(Handle& h, const Directory& first) {
    uint16_t count = 0;
    uint64_t* offsets = nullptr;
    std::vector<uint64_t> subs;
    if (TIFFGetField(h.tiff, TIFFTAG_SUBIFD, &count, &offsets) && offsets) subs.assign(offsets, offsets + std::min<int>(count, kMaxDirectories));
    for (uint64_t offset : subs)
      if (TIFFSetSubDirectory(h.tiff, offset)) consider(h, true, offset, first);
    if (!TIFFSetDirectory(h.tiff, 0)) return;
    for (int i = 1; i < kMaxDirectories && TIFFReadDirectory(h.tiff); ++i) consider(h, false, static_cast<uint64_t>(i), first);
    h.error.clear();
  }

  void read_mpp(Handle& h) {
    float rx = 0, ry = 0;
    uint16_t unit = RESUNIT_INCH;
    TIFFGetFieldDefaulted(h.tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
    if (!TIFFGetField(h.tiff, TIFFTAG_XRESOLUTION, &rx) || !TIFFGetField(h.tiff, TIFFTAG_YRESOLUTION, &ry) || unit == RESUNIT_NONE) return;
    double micrometres = unit == RESUNIT_CENTIMETER ? 10000 : 25400;
    // 72 to 600 dots per inch is what programs write when they know nothing.
    if (rx > 2000 && ry > 2000 && rx < 1e7f && ry < 1e7f) {
      mpp_x = micrometres / rx;
      mpp_y = micrometres / ry;
      mpp_source = "TIFF XResolution";
    }
  }

  std::unique_ptr<Handle> take() const {
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Handle> h = std::move(idle_.back());
        idle_.pop_back();
        h->error.clear();
        return h;
      }
    }
    return open_handle(path);
  }
  void give_back(std::unique_ptr<Handle> h) const {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(h));
  }

  Block get_block(int level, int64_t bx, int64_t by) const {
    Key key{level, bx, by};
    {
      std::lock_guard lock(mutex_);
      if (auto it = cache_.find(key); it != cache_.end()) {
        recent_.splice(recent_.begin(), recent_, it->second.second);
        return it->second.first;
      }
    }
    Block block = decode(level, bx, by);
    std::lock_guard lock(mutex_);
    if (!cache_.contains(key)) {
      recent_.push_front(key);
      cache_[key] = {block, recent_.begin()};
      cached_ += static_cast<int64_t>(block->size());
      while (cached_ > kCacheBytes && recent_.size() > 1) {
        auto last = cache_.find(recent_.back());
        cached_ -= static_cast<int64_t>(last->second.first->size());
        cache_.erase(last);
        recent_.pop_back();
      }
    }
    return block;
  }

  Block decode(int level, int64_t bx, int64_t by) const {
    const Directory& d = directories_[static_cast<size_t>(level)];
    std::unique_ptr<Handle> h = take();
    select(*h, d);
    int64_t width = d.block_width, height = d.block_height;
    std::vector<uint32_t> raster(static_cast<size_t>(width * height));
    uint32_t x = static_cast<uint32_t>(bx * width), y = static_cast<uint32_t>(by * height);
    int64_t rows = d.tiled ? height : std::min(height, d.height - by * height);
    bool ok = d.tiled ? TIFFReadRGBATileExt(h->tiff, x, y, raster.data(), 1) : TIFFReadRGBAStripExt(h->tiff, y, raster.data(), 1);
    if (!ok)
      throw Error("", "damaged TIFF: level " + std::to_string(level) + ", tile at " + std::to_string(x) + "," + std::to_string(y) + ": " + h->error, "restore the file");
    auto block = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(width * height * 3), uint8_t{255});
    for (int64_t r = 0; r < rows; ++r) {
      const uint32_t* in = raster.data() + (rows - 1 - r) * width;
      uint8_t* out = block->data() + r * width * 3;
      for (int64_t c = 0; c < width; ++c, out += 3) {
        uint32_t p = in[c], a = TIFFGetA(p);
        // libtiff gives colours already multiplied by alpha: white shines through.
        out[0] = static_cast<uint8_t>(std::min<uint32_t>(255, TIFFGetR(p) + 255 - a));
        out[1] = static_cast<uint8_t>(std::min<uint32_t>(255, TIFFGetG(p) + 255 - a));
        out[2] = static_cast<uint8_t>(std::min<uint32_t>(255, TIFFGetB(p) + 255 - a));
      }
    }
    give_back(std::move(h));
    return block;
  }

  std::vector<Directory> directories_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Handle>> idle_;
  mutable std::map<Key, std::pair<Block, std::list<Key>::iterator>> cache_;
  mutable std::list<Key> recent_;
  mutable int64_t cached_ = 0;
};

// The whole picture turned as its orientation tag says (TIFF 6.0, tag 274).
std::unique_ptr<Slide> upright(const TiffSlide& stored) {
  int64_t w = stored.width(), h = stored.height();
  if (w > kMaxImagePixels / h) throw Error("", "TIFF with a rotated orientation is over the limit of " + std::to_string(kMaxImagePixels) + " pixels", "save it upright");
  Image in(static_cast<int>(w), static_cast<int>(h));
  stored.read(0, 0, 0, in.width, in.height, in.rgb.data());
  int o = stored.orientation();
  bool turned = o >= 5;
  Image out(turned ? in.height : in.width, turned ? in.width : in.height);
  for (int y = 0; y < in.height; ++y)
    for (int x = 0; x < in.width; ++x) {
      int fx = o == 2 || o == 3 || o == 7 || o == 8 ? in.width - 1 - x : x;
      int fy = o == 3 || o == 4 || o == 6 || o == 7 ? in.height - 1 - y : y;
      std::memcpy(out.row(turned ? fx : fy) + (turned ? fy : fx) * 3, in.row(y) + x * 3, 3);
    }
  return make_memory_slide(std::move(out));
}

}  // namespace

std::unique_ptr<Slide> open_tiff(const std::string& path) {
  auto slide = std::make_unique<TiffSlide>(path);
  if (slide->orientation() > 1 && slide->orientation() <= 8) return upright(*slide);
  return slide;
}

}  // namespace cytodet
