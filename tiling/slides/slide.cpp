#include "tiling/slides/slide.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "core/error.h"
#include "core/file.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/slides/formats/known_formats.h"
#include "tiling/slides/formats/physical_size.h"
#include "tiling/slides/formats/slide_parts.h"
#include "tiling/slides/image_io.h"
#include "tiling/slides/sample_range.h"

namespace cytodet::tiling {
namespace {

class MemorySlide : public Slide {
 public:
  explicit MemorySlide(Image image) : image_(std::move(image)) {
    levels.push_back({image_.width, image_.height, 1.0, image_.width, image_.height, "whole image"});
    kept_bytes = static_cast<int64_t>(image_.rgb.size());
  }
  void read(int, int64_t x, int64_t y, int w, int h, uint8_t* rgb) const override {
    std::memset(rgb, 255, static_cast<size_t>(w) * static_cast<size_t>(h) * 3);
    int64_t x0 = std::max<int64_t>(0, x), x1 = std::min<int64_t>(image_.width, x + w);
    for (int64_t yy = std::max<int64_t>(0, y); x0 < x1 && yy < std::min<int64_t>(image_.height, y + h); ++yy)
      std::memcpy(rgb + ((yy - y) * w + (x0 - x)) * 3, image_.row(static_cast<int>(yy)) + x0 * 3,
                  static_cast<size_t>(x1 - x0) * 3);
  }

 private:
  Image image_;
};

bool starts(std::span<const uint8_t> head, std::initializer_list<uint8_t> magic) {
  return head.size() >= magic.size() && std::equal(magic.begin(), magic.end(), head.begin());
}
bool is_tiff(std::span<const uint8_t> h) {
  return starts(h, {'I', 'I', 42, 0}) || starts(h, {'M', 'M', 0, 42}) || starts(h, {'I', 'I', 43, 0}) ||
         starts(h, {'M', 'M', 0, 43});
}

std::span<const uint8_t> as_bytes(const std::string& s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

template <Image (*decode)(std::span<const uint8_t>)>
std::unique_ptr<Slide> open_image(const std::string& path, const ImageSelection&) {
  std::string bytes = read_file(path, int64_t{1} << 30);
  std::unique_ptr<Slide> slide = make_memory_slide(decode(as_bytes(bytes)));
  if (const ChosenPixelSize scale = image_pixel_size(as_bytes(bytes)); scale.size) {
    slide->mpp_x = scale.size->x;
    slide->mpp_y = scale.size->y;
    slide->mpp_source = scale.size->source;
    slide->mpp_warning = scale.warning;
  }
  return slide;
}

// The file that names a MIRAX slide is itself a JPEG, of a preview; that its other parts are there is checked before.
bool is_mirax(const std::string& path) { return path.ends_with(".mrxs"); }

constexpr SlideFormat kSlideFormats[] = {
    {"jpeg", "",
     [](const std::string& path, std::span<const uint8_t> h) {
       return starts(h, {0xff, 0xd8}) && !is_mirax(path);
     },
     open_image<decode_jpeg>, false},
    {"png", "",
     [](const std::string&, std::span<const uint8_t> h) {
       return starts(h, {0x89, 'P', 'N', 'G'});
     },
     open_png, false},
    {"bmp", "",
     [](const std::string&, std::span<const uint8_t> h) {
       return starts(h, {'B', 'M'});
     },
     open_image<decode_bmp>, false},
    {"kfb", "micrometres per pixel in the KFB header",
     [](const std::string&, std::span<const uint8_t> h) {
       return starts(h, {0xf1, 0x01, 0xee, 0xee, 'K', 'F', 'B'});
     },
     open_kfb, false},
    {"svs", "aperio.MPP", [](const std::string&, std::span<const uint8_t> h) { return is_tiff(h); }, open_svs, true},
    // Vendors' slides, TIFF-based ones too; a generic TIFF is read directly.
    {"openslide", "openslide.mpp-x",
     [](const std::string& path, std::span<const uint8_t>) {
       std::string vendor = openslide_vendor(path);
       return !vendor.empty() && vendor != "generic-tiff";
     },
     open_openslide, false},
    {"tiff", "OME PhysicalSizeX, aperio.MPP, the unit of ImageJ or MetaMorph, TIFF XResolution finer than 12.7 micrometres",
     [](const std::string&, std::span<const uint8_t> h) { return is_tiff(h); }, open_tiff, true},
};

// Throws Error when more is asked for than the one colour image that a file holds.
void check_only_image(const ImageSelection& s) {
  const auto refuse = [](const std::string& option, int wanted, const char* what) {
    throw Error("", "holds one " + std::string(what) + ", not number " + std::to_string(wanted) + " from 0",
                "leave out " + option);
  };
  if (s.series.value_or(0)) refuse("--series", *s.series, "series");
  if (s.page.value_or(0)) refuse("--page", *s.page, "page");
  if (s.plane.value_or(0)) refuse("--plane", *s.plane, "focal plane");
  if (s.time.value_or(0)) refuse("--time", *s.time, "point in time");
  if (!s.channel.empty()) throw Error("", "is one colour image, without channels to choose", "leave out --channel");
}

// Adds the file's name to what `look` throws.
template <class Look>
void in_file(const std::string& name, Look look) {
  try {
    look();
  } catch (const Error& e) {
    if (e.where().starts_with(name)) throw;
    throw e.within(name);
  }
}

// Null when `measured` is wanted and the file is a plain image.
std::unique_ptr<Slide> open_by_formats(const std::filesystem::path& path, bool measured, const ImageSelection& selection) {
  const std::string name = path.string();
  std::error_code error, no_link;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found)
    throw Error(name,
                std::filesystem::is_symlink(path, no_link) ? "cannot open: a link to a file that does not exist"
                                                           : "cannot open: no such file",
                "check the path");
  if (error) throw Error(name, "cannot open: " + error.message(), "check the path and its permissions");
  if (std::filesystem::is_directory(status)) {
    in_file(name, [&] { check_folder(path); });
    throw Error(name, "is a directory, not a slide", "name a file in it");
  }
  if (!std::filesystem::is_regular_file(status)) throw Error(name, "is a pipe or device, not a slide", "name a file");
  uint8_t head[kFormatHead];
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw Error(name, std::string("cannot open: ") + std::strerror(errno), "check the permissions");
  ssize_t n = ::read(fd, head, sizeof head);
  ::close(fd);
  if (n == 0) throw Error(name, "is empty", "restore the file; was a copy or download of it interrupted?");
  if (n < 0) throw Error(name, std::string("cannot read: ") + std::strerror(errno));
  std::error_code no_size;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, no_size));
  in_file(name, [&] { check_known_format(path, {head, static_cast<size_t>(n)}, size); });
  std::string known;
  for (const SlideFormat& f : kSlideFormats) known += (known.empty() ? "" : ", ") + std::string(f.name);
  try {
    for (const SlideFormat& f : kSlideFormats) {
      if (!f.detect(name, {head, std::min(static_cast<size_t>(n), size_t{16})})) continue;
      if (measured && !*f.mpp_properties) return nullptr;
      std::unique_ptr<Slide> slide = f.open(name, selection);
      if (!slide) continue;
      if (!f.selects) check_only_image(selection);
      slide->path = name;
      slide->format = f.name;
      if (std::string doubt = doubt_of_name(path, {head, static_cast<size_t>(n)}); !doubt.empty())
        slide->warnings.push_back(std::move(doubt));
      const Stretch stretch = parse_stretch(selection.stretch);
      if (stretch.kind == Stretch::Kind::none) notice_dark(*slide);
      return stretched_slide(std::move(slide), stretch);
    }
  } catch (const Error& e) {
    if (e.where().starts_with(name)) throw;
    throw e.within(name);
  } catch (const std::bad_alloc&) {
    throw Error(name, "needs more memory than there is", "use a smaller image");
  }
  throw Error(name, "is of no known image or slide format" + claim_of_name(path), "known: " + known);
}

}  // namespace

void downsample_by_mean(const Image& image, int factor, uint8_t* rgb) {
  const size_t bytes = static_cast<size_t>(image.width) * 3;
  std::vector<uint32_t> down(bytes);
  for (int y = 0; y < image.height; y += factor) {
    const int rows = std::min(factor, image.height - y);
    std::fill(down.begin(), down.end(), 0u);
    for (int r = 0; r < rows; ++r) {
      const uint8_t* line = image.row(y + r);
      for (size_t i = 0; i < bytes; ++i) down[i] += line[i];
    }
    for (int x = 0; x < image.width; x += factor) {
      const int columns = std::min(factor, image.width - x);
      const auto count = static_cast<uint32_t>(columns * rows);
      uint32_t sum[3] = {count / 2, count / 2, count / 2};
      for (int c = 0; c < columns * 3; c += 3)
        for (int k = 0; k < 3; ++k) sum[k] += down[static_cast<size_t>(int64_t{x} * 3 + c + k)];
      for (int k = 0; k < 3; ++k) *rgb++ = static_cast<uint8_t>(sum[k] / count);
    }
  }
}

void Slide::read_downsampled(int level, int64_t x, int64_t y, int w, int h, int factor, uint8_t* rgb) const {
  if (factor == 1) return read(level, x, y, w, h, rgb);
  // In bands, so that memory follows the region wanted and not the level.
  const int width = (w + factor - 1) / factor, band = std::max(1, (4 << 20) / (w * factor)) * factor;
  for (int top = 0; top < h; top += band) {
    Image part(w, std::min(band, h - top));
    read(level, x, y + top, w, part.height, part.rgb.data());
    downsample_by_mean(part, factor, rgb + static_cast<int64_t>(top / factor) * width * 3);
  }
}

std::unique_ptr<Slide> make_memory_slide(Image image) { return std::make_unique<MemorySlide>(std::move(image)); }

std::span<const SlideFormat> slide_formats() { return kSlideFormats; }

std::unique_ptr<Slide> open_slide(const std::filesystem::path& path, const ImageSelection& selection) {
  return open_by_formats(path, false, selection);
}

std::optional<SlideContents> list_contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 4> head{};
  if (!file.read(head.data(), head.size())) return std::nullopt;
  if (!is_tiff({reinterpret_cast<const uint8_t*>(head.data()), head.size()})) return std::nullopt;
  try {
    check_olympus_parts(path);  // of whose overview nothing is to be chosen
    return list_tiff(path.string());
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string mpp_properties_of(const Slide& slide) {
  for (const SlideFormat& f : kSlideFormats)
    if (slide.format == f.name && *f.mpp_properties) return f.mpp_properties;
  return "a resolution finer than 12.7 micrometres; most plain images do not say";
}

std::unique_ptr<Slide> open_measured_slide(const std::filesystem::path& path, const ImageSelection& selection) {
  return open_by_formats(path, true, selection);
}

}  // namespace cytodet::tiling
