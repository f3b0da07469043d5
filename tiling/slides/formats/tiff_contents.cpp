#include "tiling/slides/formats/tiff_contents.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "core/ascii.h"
#include "core/error.h"
#include "tiling/slides/formats/imagej.h"
#include "tiling/slides/formats/ome.h"
#include "tiling/slides/formats/ome_images.h"
#include "tiling/slides/formats/xml_text.h"

namespace cytodet::tiling {
namespace {

constexpr const char* kFix = "save one plane of it, or its colours as 8-bit RGB, as a file of its own";
constexpr int64_t kMaxImages = 1 << 16;  // of a series

// What a file calls something, as part of a line: without control characters, and not longer than a name.
std::string name_in_line(std::string_view text) {
  constexpr size_t kMax = 80;
  size_t end = std::min(text.size(), kMax);
  while (end > 0 && end < text.size() && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;  // whole UTF-8 characters
  std::string name(text.substr(0, end));
  for (char& c : name)
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = ' ';
  return name;
}

// "label", "macro" or "overview", where the description's first or second line begins so, as Aperio's and other writers' do: an
// image that is never the slide nor a level of it. Empty: none.
std::string_view associated(std::string_view description) {
  const size_t line = description.find('\n');
  for (const std::string_view text : {description, line == description.npos ? "" : description.substr(line + 1)})
    for (const std::string_view kind : {"label", "macro", "overview"}) {
      if (lower_ascii(text.substr(0, kind.size())) != kind) continue;
      const char next = text.size() > kind.size() ? text[kind.size()] : ' ';
      if (std::isalnum(static_cast<unsigned char>(next)) == 0) return kind;
    }
  return {};
}

bool same_layout(const TiffLayout& a, const TiffLayout& b) {
  return a.samples == b.samples && a.bits == b.bits && a.sample_format == b.sample_format && a.gray() == b.gray();
}
bool same_size(const TiffDirectory& a, const TiffDirectory& b) { return a.width == b.width && a.height == b.height; }

// Whether b shows what a shows, smaller.
bool is_smaller_copy(const TiffDirectory& a, const TiffDirectory& b) {
  const double rx = static_cast<double>(a.width) / static_cast<double>(b.width),
               ry = static_cast<double>(a.height) / static_cast<double>(b.height);
  return b.width < a.width && b.height <= a.height &&
         std::abs(rx / ry - 1) < 0.02 + 2.0 / static_cast<double>(std::min(b.width, b.height));
}
// SubIFDs are looked at later, by whoever opens them.
std::vector<TiffPlace> places_of(const TiffPage& page) {
  std::vector<TiffPlace> places{{false, page.image.where}};
  for (uint64_t offset : page.subs) places.push_back({true, offset});
  return places;
}

TiffSeries series_of(const TiffPage& page) {
  TiffSeries s;
  s.width = page.image.width;
  s.height = page.image.height;
  s.form = page.image.form;
  s.images = {places_of(page)};
  return s;
}

class DirectoryReader {
 public:
  explicit DirectoryReader(TiffFile& file) : file_(file) {
    c_.chain = file.pages(c_.pages, c_.damage);
    if (c_.chain.empty()) throw Error("", "damaged TIFF: it holds no image", "restore the file");
    if (!c_.chain[0].problem.empty()) file.open(false, 0);  // says what is wrong, and what to do
    used_.resize(c_.chain.size());
  }

  TiffContents read() {
    const std::string& text = c_.chain[0].description;
    if (!(is_ome(text) && ome()) && !imagej() && !lsm() && !metamorph() && !(text.starts_with("Aperio") && aperio()) &&
        !(text.find("PerkinElmer-QPI") != std::string::npos && qptiff())) {
      c_.kind = "TIFF";
      pages();
    }
    for (TiffSeries& s : c_.series) add_samples_as_channels(s);
    for (size_t i = 0; i < c_.chain.size(); ++i)
      if (!used_[i]) c_.others.push_back(other(c_.chain[i], i));
    return std::move(c_);
  }

 private:
  const TiffPage& page(size_t i) const { return c_.chain[i]; }
  bool whole(size_t i) const {  // may be a series by itself
    return page(i).problem.empty() && !used_[i] && associated(page(i).description).empty() &&
           !(page(i).image.subfile_type & (FILETYPE_MASK | FILETYPE_REDUCEDIMAGE));
  }
  bool readable(size_t i) const { return page(i).problem.empty() && !used_[i]; }

  // What an image is that is neither a series nor a part of one.
  HeldImage other(const TiffPage& p, size_t i) const {
    HeldImage h;
    h.width = p.image.width;
    h.height = p.image.height;
    h.option = "--page " + std::to_string(i);
    h.form = p.problem.empty() ? in_words(p.image.form) : p.problem;
    const std::optional<std::string> kind = auxiliary_kind(p);
    h.auxiliary = kind.has_value();
    h.kind = kind ? *kind : p.problem.empty() ? "image" : "unreadable";
    return h;
  }
  // "label", "thumbnail" and the like; none: nothing says that it is one.
  std::optional<std::string> auxiliary_kind(const TiffPage& p) const {
    if (!p.problem.empty()) return std::nullopt;
    if (p.image.subfile_type & FILETYPE_MASK) return "mask";
    if (const std::string_view type = text_of(p.description, "ImageType"); !type.empty()) {
      const std::string kind = lower_ascii(name_in_line(type));
      return kind == "image" || kind == "unreadable" ? std::nullopt : std::optional(kind);
    }
    if (const std::string_view kind = associated(p.description); !kind.empty()) return std::string(kind);
    if (c_.kind == "Aperio SVS") {
      return "thumbnail";
    }
    for (const TiffSeries& s : c_.series) {
      TiffDirectory full;
      full.width = s.width;
      full.height = s.height;
      if (is_smaller_copy(full, p.image) && (s.width > p.image.width * 3 / 2)) return "thumbnail";
    }
    return p.image.subfile_type & FILETYPE_REDUCEDIMAGE ? std::optional<std::string>("reduced image") : std::nullopt;
  }

  // Pages of one size: the largest. None where all are unreadable.
  std::vector<size_t> largest_pages() const {
    std::optional<size_t> best;
    for (int pass = 0; pass < 2 && !best; ++pass)  // if there is no other, one that is marked as reduced
      for (size_t i = 0; i < c_.chain.size(); ++i)
        if ((pass ? readable(i) : whole(i)) &&
            (!best || page(i).image.width * page(i).image.height > page(*best).image.width * page(*best).image.height))
          best = i;
    std::vector<size_t> peers;
    if (!best) return peers;
    for (size_t i = 0; i < c_.chain.size(); ++i)
      if (i == *best || (whole(i) && same_size(page(i).image, page(*best).image))) peers.push_back(i);
    return peers;
  }

  // Gives each of the full images its levels among the other pages: of a size that occurs as often as the full one, the k-th is
  // the k-th's. One series takes the first of each size.
  std::vector<std::vector<TiffPlace>> with_levels(const std::vector<size_t>& full) {
    std::vector<std::vector<TiffPlace>> images;
    for (size_t i : full) {
      images.push_back(places_of(page(i)));
      used_[i] = true;
    }
    std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> by_size;
    for (size_t i = 0; i < c_.chain.size(); ++i)
      if (readable(i) && associated(page(i).description).empty() && is_level(page(full[0]).image, page(i).image))
        by_size[{-page(i).image.width, -page(i).image.height}].push_back(i);
    for (const auto& [size, found] : by_size) {
      if (found.size() != full.size() && full.size() > 1) continue;
      for (size_t k = 0; k < full.size(); ++k) {
        images[k].push_back({false, page(found[k]).image.where});
        used_[found[k]] = true;
      }
    }
    return images;
  }

  // Pages of which nothing says what they are.
  void pages() {
    const std::vector<size_t> full = largest_pages();
    if (full.empty()) {
      c_.series.push_back(series_of(page(0)));
      used_[0] = true;
      return;
    }
    std::vector<std::vector<TiffPlace>> images = with_levels(full);
    for (size_t k = 0; k < full.size(); ++k) {
      c_.series.push_back(series_of(page(full[k])));
      c_.series.back().images = {std::move(images[k])};
    }
    c_.unrelated = full.size() > 1;
  }

  // The largest pages are the channels of one series.
  bool qptiff() {
    c_.kind = "QPTIFF";
    for (size_t i = 0; i < c_.chain.size(); ++i) {  // thumbnail, overview and label may be larger than the slide
      const std::string type = lower_ascii(text_of(page(i).description, "ImageType"));
      if (type == "thumbnail" || type == "overview" || type == "label") set_aside(i);
    }
    const std::vector<size_t> full = largest_pages();
    if (full.empty()) return restore();
    TiffSeries s = series_of(page(full[0]));
    s.images = with_levels(full);
    s.channels = static_cast<int>(full.size());
    for (size_t i : full) {
      const std::string_view name = text_of(page(i).description, "Name");
      s.channel_names.push_back(name_in_line(name.empty() ? text_of(page(i).description, "Biomarker") : name));
    }
    s.not_rgb = "a QPTIFF's channels are dyes";
    c_.series.push_back(std::move(s));
    restore();
    return true;
  }
  // Pages that are never series: marked as used until the series are found.
  void set_aside(size_t i) {
    aside_.push_back(i);
    used_[i] = true;
  }
  bool restore() {
    for (size_t i : aside_) used_[i] = false;
    aside_.clear();
    return false;
  }

  static std::optional<double> offset_z(const std::string& description) {
    const size_t at = description.find("OffsetZ");
    if (at == std::string::npos) return std::nullopt;
    const size_t from = description.find_first_not_of(" =", at + 7);
    double value = 0;
    if (from == std::string::npos) return std::nullopt;
    const auto [stopped, error] = std::from_chars(description.data() + from, description.data() + description.size(), value);
    return error == std::errc() ? std::optional(value) : std::nullopt;
  }

  // Tiled images in their order: a focal plane begins with one of the full size, its levels follow.
  bool aperio() {
    c_.kind = "Aperio SVS";
    if (!page(0).image.tiled) return false;
    TiffSeries s = series_of(page(0));
    s.images.clear();
    std::vector<std::optional<double>> offsets;
    for (size_t i = 0; i < c_.chain.size(); ++i) {
      const TiffPage& p = page(i);
      if (!p.problem.empty() || !p.image.tiled) continue;
      const std::optional<double> z = offset_z(p.description);
      if (same_size(p.image, page(0).image)) {
        s.images.push_back(places_of(p));
        offsets.push_back(z);
      } else {
        const auto known = z ? std::find(offsets.begin(), offsets.end(), z) : offsets.end();
        auto& image = known == offsets.end() ? s.images.back() : s.images[static_cast<size_t>(known - offsets.begin())];
        image.push_back({false, p.image.where});
      }
      used_[i] = true;
    }
    const int count = static_cast<int>(s.images.size());
    if (s.form.gray() && count > 1 && !offsets[0]) {
      s.channels = count;
      s.not_rgb = "nothing gives their colours";
    } else {
      s.planes = count;
      s.base_plane = 0;
      for (int k = 0; k < count; ++k)
        if (std::abs(offsets[static_cast<size_t>(k)].value_or(0)) <
            std::abs(offsets[static_cast<size_t>(s.base_plane)].value_or(0)))
          s.base_plane = k;
    }
    c_.series.push_back(std::move(s));
    return true;
  }

  bool imagej() {
    const auto stack = imagej_stack(c_.chain[0].description);
    if (!stack || (stack->images == 1 && c_.pages == 1)) return false;
    c_.kind = "ImageJ TIFF";
    const bool contiguous = c_.pages == 1;
    if (stack->images > kMaxImages || stack->channels * stack->slices > kMaxImages ||
        stack->channels * stack->slices * stack->frames != stack->images || (!contiguous && stack->images > c_.pages)) {
      if (contiguous)
        throw Error("",
                    "is an ImageJ TIFF of " + std::to_string(stack->images) + " images, of " + std::to_string(stack->channels) +
                        " channels, " + std::to_string(stack->slices) + " slices, " + std::to_string(stack->frames) +
                        " frames, which does not fit",
                    kFix);
      return false;  // pages of which nothing says what they are
    }
    if (!contiguous)
      for (int64_t i = 0; i < std::min<int64_t>(stack->images, static_cast<int64_t>(c_.chain.size())); ++i)
        if (!page(static_cast<size_t>(i)).problem.empty() || !same_size(page(static_cast<size_t>(i)).image, page(0).image))
          return false;
    TiffSeries s = series_of(page(0));
    s.images.clear();
    s.channels = static_cast<int>(stack->channels);
    s.planes = static_cast<int>(stack->slices);
    s.times = static_cast<int>(stack->frames);
    for (int64_t i = 0; i < stack->images; ++i) {
      s.images.push_back({{false, contiguous ? 0 : static_cast<uint64_t>(i), contiguous ? i : 0}});
      if (static_cast<size_t>(i) < used_.size() && (!contiguous || i == 0)) used_[static_cast<size_t>(i)] = true;
    }
    imagej_rgb(*stack, s);
    c_.series.push_back(std::move(s));
    return true;
  }

  // 3 gray channels in composite mode are red, green, blue, or what their look-up tables say.
  void imagej_rgb(const ImageJStack& stack, TiffSeries& s) {
    if (s.channels != 3 || !s.form.gray()) return;
    if (stack.mode == "grayscale" || stack.mode == "color") {
      s.not_rgb = "ImageJ shows them one by one (mode=" + stack.mode + ")";
      return;
    }
    std::array<int, 3> rgb{0, 1, 2};
    const std::vector<std::array<uint8_t, 3>> colours = look_up_tables();
    if (colours.size() >= 3) {
      rgb = {-1, -1, -1};
      for (int c = 0; c < 3; ++c)
        for (size_t k = 0; k < 3; ++k) {
          std::array<uint8_t, 3> pure{};
          pure[k] = 255;
          if (colours[static_cast<size_t>(c)] == pure) rgb[k] = c;
        }
      if (*std::min_element(rgb.begin(), rgb.end()) < 0) {
        s.not_rgb = "their look-up tables are not red, green and blue";
        return;
      }
    }
    s.rgb = rgb;
  }
  std::vector<std::array<uint8_t, 3>> look_up_tables() {
    constexpr uint32_t kLengths = 50838, kMetadata = 50839;
    file_.open(false, 0);
    uint32_t parts = 0, bytes = 0;
    const uint32_t* lengths = nullptr;
    const uint8_t* metadata = nullptr;
    const TIFFField* field = TIFFFindField(file_.tiff(), kLengths, TIFF_ANY);
    if (!field || TIFFFieldDataType(field) != TIFF_LONG || !TIFFGetField(file_.tiff(), kLengths, &parts, &lengths) ||
        !TIFFGetField(file_.tiff(), kMetadata, &bytes, &metadata) || !lengths || !metadata)
      return {};
    const bool big = TIFFIsBigEndian(file_.tiff());
    return imagej_colours({metadata, bytes}, {lengths, parts}, big);
  }

  // Zeiss LSM: tag 34412 gives the sizes; a thumbnail stands behind each image; channels are samples.
  bool lsm() {
    constexpr uint32_t kInfo = 34412;
    file_.open(false, 0);
    uint32_t bytes = 0;
    const uint8_t* info = nullptr;
    if (!TIFFGetField(file_.tiff(), kInfo, &bytes, &info) || !info || bytes < 28) return false;
    c_.kind = "Zeiss LSM";
    const auto word = [&](size_t at) {
      int32_t v = 0;  // LSM files are little-endian
      std::memcpy(&v, info + at, 4);
      return v;
    };
    const int64_t planes = word(16), channels = word(20), times = word(24);
    std::vector<size_t> full;
    for (size_t i = 0; i < c_.chain.size(); ++i)
      if (whole(i) && same_size(page(i).image, page(0).image)) full.push_back(i);
    if (planes < 1 || times < 1 || channels < 1 || planes * times != static_cast<int64_t>(full.size()) ||
        channels != page(0).image.form.samples)
      return false;
    TiffSeries s = series_of(page(0));
    s.form.photometric = PHOTOMETRIC_MINISBLACK;  // three channels are called RGB, whatever dyes they are
    s.images.clear();
    s.planes = static_cast<int>(planes);
    s.times = static_cast<int>(times);
    s.channels = static_cast<int>(channels);
    s.not_rgb = "an LSM's channels are dyes";
    for (size_t i : full) {
      used_[i] = true;
      for (int c = 0; c < s.channels; ++c) s.images.push_back({{false, page(i).image.where, 0, channels > 1 ? c : -1}});
    }
    c_.series.push_back(std::move(s));
    return true;
  }

  // MetaMorph STK: one directory, and tag 33629 has an entry for each of the images stored behind each other.
  bool metamorph() {
    constexpr uint32_t kUic2 = 33629;
    file_.open(false, 0);
    uint32_t count = 0;
    const void* data = nullptr;
    if (!TIFFGetField(file_.tiff(), kUic2, &count, &data) || count < 1 || count > kMaxImages) return false;
    c_.kind = "MetaMorph STK";
    for (uint32_t i = 0; i < count; ++i) {
      c_.series.push_back(series_of(page(0)));
      c_.series.back().images = {{{false, 0, static_cast<int64_t>(i)}}};
    }
    c_.unrelated = count > 1;
    used_[0] = true;
    return true;
  }

  bool ome() {
    const std::vector<OmeImage> images = ome_images(c_.chain[0].description);
    std::string_view xml = c_.chain[0].description;
    if (const auto set = next_tag(xml, "BinaryOnly"); set && images.empty()) {
      const std::string_view file = attribute(*set, "MetadataFile");
      c_.set_of = file.empty() ? "another file" : name_in_line(file);
    }
    if (images.empty()) return false;
    c_.kind = "OME-TIFF";
    for (const OmeImage& ome : images)
      for (const OmeData& d : ome.data)
        if (!d.file.empty()) named_files_.insert(d.file);
    for (const OmeImage& ome : images) add_ome(ome);
    return true;
  }

  void add_ome(OmeImage ome) {
    // The first of its images that is in this file says what its pixels are.
    const OmePlace first = OmePlaces(ome).at(0, 0, 0);
    const size_t shown = first.directory && *first.directory < c_.chain.size() && page(*first.directory).problem.empty()
                             ? static_cast<size_t>(*first.directory)
                             : 0;
    TiffSeries s = series_of(page(shown));
    s.name = name_in_line(ome.name);
    if (!s.form.gray() && ome.samples == 1) {
      ome.samples = std::max<uint32_t>(1, s.form.samples);
      ome.channels = ome.channels / ome.samples + (ome.channels % ome.samples > 0);
    }
    const bool in_one_image = s.form.gray() && s.form.gray_channels() > 1;
    if (in_one_image) ome.channels = 1;  // the samples are the channels
    if (uint64_t{ome.channels} * ome.depths > kMaxImages || uint64_t{ome.channels} * ome.depths * ome.times > kMaxImages)
      throw Error("",
                  "is an OME-TIFF whose OME-XML speaks of " + std::to_string(ome.channels) + " channels, " +
                      std::to_string(ome.depths) + " focal planes, " + std::to_string(ome.times) + " points in time",
                  kFix);
    s.channels = static_cast<int>(ome.channels);
    s.planes = static_cast<int>(ome.depths);
    s.times = static_cast<int>(ome.times);
    if (ome.channel_names.size() == ome.channels)
      for (const std::string& n : ome.channel_names) s.channel_names.push_back(name_in_line(n));
    s.images.clear();
    const OmePlaces places(ome);
    for (uint32_t t = 0; t < ome.times; ++t)
      for (uint32_t z = 0; z < ome.depths; ++z)
        for (uint32_t c = 0; c < ome.channels; ++c) s.images.push_back(ome_image(ome, places, c, z, t));
    if (s.channels == 3 && s.form.gray()) s.rgb = {0, 1, 2};
    c_.series.push_back(std::move(s));
  }

  std::vector<TiffPlace> ome_image(const OmeImage& ome, const OmePlaces& places, uint32_t c, uint32_t z, uint32_t t) {
    const OmePlace place = places.at(c, z, t);
    std::vector<TiffPlace> missing(1);
    std::string& problem = missing[0].problem;
    if (!place.bad_field.empty())
      problem = "is an OME-TIFF whose TiffData gives no number by " + place.bad_field;
    else if (!place.directory)
      problem = "is an OME-TIFF whose TiffData does not say where each of its images lies";
    else if (!is_own(place, ome.own_uuid))
      problem = "is an OME-TIFF whose images lie in several files, this one in " + name_in_line(place.file);
    else if (*place.directory >= static_cast<uint64_t>(c_.pages))
      problem = "is an OME-TIFF whose channel " + std::to_string(c + 1) + " of " + std::to_string(ome.channels) +
                (ome.depths > 1 ? ", focal plane " + std::to_string(z + 1) + " of " + std::to_string(ome.depths) : "") +
                (ome.times > 1 ? ", point in time " + std::to_string(t + 1) + " of " + std::to_string(ome.times) : "") +
                " should be image " + std::to_string(*place.directory + 1) + ", and it holds " + std::to_string(c_.pages);
    else if (*place.directory >= c_.chain.size())
      return {{false, *place.directory}};
    if (!problem.empty()) return missing;
    used_[*place.directory] = true;
    return places_of(page(*place.directory));
  }
  // By UUID where both are given, else by name. A file that alone is named is this one: it was called so when it was written.
  bool is_own(const OmePlace& place, const std::string& own_uuid) const {
    if (!place.uuid.empty() && !own_uuid.empty()) return place.uuid == own_uuid;
    if (place.file.empty() || named_files_.size() == 1) return true;
    return place.file == std::filesystem::path(TIFFFileName(file_.tiff())).filename().string();
  }

  TiffFile& file_;
  TiffContents c_;
  std::vector<bool> used_;  // of the chain: part of a series
  std::vector<size_t> aside_;
  std::set<std::string> named_files_;  // by the TiffData of OME-XML
};

}  // namespace

void add_samples_as_channels(TiffSeries& s) {
  const int samples = s.form.gray_channels();
  if (samples < 2 || s.channels > 1) return;
  std::vector<std::vector<TiffPlace>> images;
  for (const std::vector<TiffPlace>& image : s.images)
    for (int c = 0; c < samples; ++c) {
      images.push_back(image);
      for (TiffPlace& p : images.back()) p.channel = c;
    }
  s.images = std::move(images);
  s.channels = samples;
  s.not_rgb = "they are samples of a gray image";
}

bool is_level(const TiffDirectory& a, const TiffDirectory& b) {
  return is_smaller_copy(a, b) && !(b.subfile_type & FILETYPE_MASK) && b.orientation == a.orientation &&
         same_layout(a.form, b.form) && (b.tiled || (b.subfile_type & FILETYPE_REDUCEDIMAGE));
}

TiffContents tiff_contents(TiffFile& file) { return DirectoryReader(file).read(); }

}  // namespace cytodet::tiling
