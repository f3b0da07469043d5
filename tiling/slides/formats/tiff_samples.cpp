#include "tiling/slides/formats/tiff_samples.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace cytodet::tiling {
namespace {

enum Photometric : uint16_t { kMinIsWhite = 0, kMinIsBlack = 1, kRgb = 2, kPalette = 3, kMask = 4, kCmyk = 5, kYcbcr = 6 };
enum Format : uint16_t { kUnsigned = 1, kSigned = 2, kFloat = 3, kUndefined = 4 };
enum Extra : uint16_t { kUnspecified = 0, kAssociated = 1, kUnassociated = 2 };

struct Name {
  uint16_t value;
  const char* name;
};
constexpr Name kPhotometrics[] = {{0, "gray, least is white"},
                                  {1, "gray"},
                                  {2, "RGB"},
                                  {3, "palette"},
                                  {4, "transparency mask"},
                                  {5, "CMYK"},
                                  {6, "YCbCr"},
                                  {8, "CIE L*a*b*"},
                                  {9, "ICC L*a*b*"},
                                  {10, "ITU L*a*b*"},
                                  {32803, "colour filter array"},
                                  {32844, "LogL"},
                                  {32845, "LogLuv"},
                                  {34892, "linear raw"}};
constexpr Name kSampleFormats[] = {{1, ""}, {2, "signed"}, {3, "float"}, {4, ""}, {5, "complex"}, {6, "complex float"}};

template <size_t n>
std::string name_of(const Name (&names)[n], uint16_t value, const char* what) {
  for (const Name& one : names)
    if (one.value == value) return one.name;
  return what + (" " + std::to_string(value));
}

// The forms that are read. A form is the first entry that fits; none fits: it is refused.
struct LayoutEntry {
  uint16_t photometric;
  Format format;
  uint64_t bits;                                  // a set
  int colours;                                    // samples of a colour
  enum class By { library, own, with_range } by;  // with_range: own, and only where the values of black and white are given
};
constexpr uint64_t bit_set(std::initializer_list<int> bits) {
  uint64_t set = 0;
  for (int b : bits) set |= uint64_t{1} << (b - 1);
  return set;
}
constexpr uint64_t up_to(int bits) { return (uint64_t{1} << bits) - 1; }
constexpr uint64_t kIntBits = bit_set({8, 16, 32}), kFloatBits = bit_set({16, 32, 64});
constexpr LayoutEntry kSampleForms[] = {
    {kMinIsBlack, kUnsigned, bit_set({1, 2, 4, 8, 16}), 1, LayoutEntry::By::library},
    {kMinIsWhite, kUnsigned, bit_set({1, 2, 4, 8, 16}), 1, LayoutEntry::By::library},
    {kRgb, kUnsigned, bit_set({8, 16}), 3, LayoutEntry::By::library},
    {kPalette, kUnsigned, bit_set({1, 2, 4, 8}), 1, LayoutEntry::By::library},
    {kCmyk, kUnsigned, bit_set({8}), 4, LayoutEntry::By::library},
    {kYcbcr, kUnsigned, bit_set({8}), 3, LayoutEntry::By::library},
    {kMinIsBlack, kUnsigned, up_to(16), 1, LayoutEntry::By::own},
    {kMinIsWhite, kUnsigned, up_to(16), 1, LayoutEntry::By::own},
    {kRgb, kUnsigned, up_to(16), 3, LayoutEntry::By::own},
    {kMinIsBlack, kUnsigned, up_to(32), 1, LayoutEntry::By::with_range},
    {kMinIsWhite, kUnsigned, up_to(32), 1, LayoutEntry::By::with_range},
    {kRgb, kUnsigned, up_to(32), 3, LayoutEntry::By::with_range},
    {kMinIsBlack, kSigned, kIntBits, 1, LayoutEntry::By::with_range},
    {kRgb, kSigned, kIntBits, 3, LayoutEntry::By::with_range},
    {kMinIsBlack, kFloat, kFloatBits, 1, LayoutEntry::By::with_range},
    {kRgb, kFloat, kFloatBits, 3, LayoutEntry::By::with_range},
};

const LayoutEntry* entry_of(const TiffLayout& f) {
  const Format format = f.sample_format == kUndefined ? kUnsigned : static_cast<Format>(f.sample_format);
  for (const LayoutEntry& entry : kSampleForms)
    if (entry.photometric == f.photometric && entry.format == format && f.bits >= 1 && f.bits <= 64 &&
        (entry.bits >> (f.bits - 1) & 1) && f.samples >= entry.colours)
      return &entry;
  return nullptr;
}

// First sample beyond the colours that is alpha; -1: none.
int alpha_of(const TiffLayout& f, int colours) {
  for (int i = colours; i < f.samples; ++i) {
    const size_t e = f.extra.size() + static_cast<size_t>(i) - f.samples;
    if (e < f.extra.size() && f.extra[e] != kUnspecified) return i;
  }
  return -1;
}

double half_float(uint16_t h) {
  const int exponent = h >> 10 & 31, fraction = h & 1023;
  const double sign = h >> 15 ? -1 : 1;
  if (exponent == 31) return fraction ? std::nan("") : sign * HUGE_VAL;
  return sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24));
}

template <class T>
void widen(const uint8_t* row, int64_t count, double* values) {
  for (int64_t i = 0; i < count; ++i) {
    T v;
    std::memcpy(&v, row + i * static_cast<int64_t>(sizeof v), sizeof v);
    values[i] = static_cast<double>(v);
  }
}

void unpack_bits(int bits, const uint8_t* row, int64_t count, double* values) {
  uint64_t held = 0;
  int have = 0;
  for (int64_t i = 0; i < count; ++i) {
    while (have < bits) {
      held = held << 8 | *row++;
      have += 8;
    }
    have -= bits;
    values[i] = static_cast<double>(held >> have & ((uint64_t{1} << bits) - 1));
  }
}

}  // namespace

int TiffLayout::gray_channels() const {
  if (!gray()) return 1;
  const int alpha = alpha_of(*this, 1);
  return std::max(1, samples - (alpha >= 0));
}

int TiffLayout::unknown_samples() const {
  const LayoutEntry* entry = entry_of(*this);
  if (!entry || gray()) return 0;
  return std::max(0, samples - entry->colours - (alpha_of(*this, entry->colours) >= 0));
}

std::string in_words(const TiffLayout& f) {
  std::string text = name_of(kPhotometrics, f.photometric, "photometric interpretation") + ", " + std::to_string(f.bits) +
                     (f.bits == 1 ? " bit" : " bits");
  if (const std::string kind = name_of(kSampleFormats, f.sample_format, "of sample format"); !kind.empty()) text += " " + kind;
  if (f.gray() && f.gray_channels() > 1) text += ", " + std::to_string(f.gray_channels()) + " samples";
  return text;
}

namespace {

// What the library's 8-bit values become when the samples in `range` are stretched over 0..255. The library gives samples of 1, 2
// and 4 bits as 8.
std::shared_ptr<const std::array<uint8_t, 256>> stretch_table(const TiffLayout& f, const StretchRange& range, bool inverted) {
  const double unit = f.bits < 8 && f.photometric != kPalette ? 255 / (std::exp2(f.bits) - 1) : 1;
  auto table = std::make_shared<std::array<uint8_t, 256>>();
  for (int i = 0; i < 256; ++i) {
    const double value = (inverted ? 255 - i : i) / unit;
    const double shown = std::clamp((value - range.low) / (range.high - range.low), 0.0, 1.0) * 255;
    (*table)[static_cast<size_t>(i)] = static_cast<uint8_t>(std::lround(inverted ? 255 - shown : shown));
  }
  return table;
}

}  // namespace

SampleReading sample_reading(const TiffLayout& f, int channel, const std::optional<StretchRange>& range) {
  const LayoutEntry* entry = entry_of(f);
  if (!entry)
    throw Error("",
                "TIFF of a form that is not read: " + in_words(f) + " (photometric interpretation " +
                    std::to_string(f.photometric) + ", sample format " + std::to_string(f.sample_format) + ", " +
                    std::to_string(f.bits) + " bits, " + std::to_string(f.samples) + " samples)",
                "save it as 8-bit RGB");
  if (entry->by == LayoutEntry::By::with_range && !range)
    throw Error("", "TIFF of " + in_words(f) + ": which values are black and white is not known",
                "give --stretch auto, or --stretch MIN,MAX");
  SampleReading r;
  r.alpha = alpha_of(f, entry->colours);
  r.associated = r.alpha >= 0 && f.extra[f.extra.size() + static_cast<size_t>(r.alpha) - f.samples] == kAssociated;
  r.inverted = f.photometric == kMinIsWhite;
  r.range = range.value_or(StretchRange{0, std::exp2(f.bits) - 1});
  r.opaque = f.sample_format == kFloat ? 1 : std::exp2(f.bits) - 1;
  if (entry->colours == 3) r.samples = {0, 1, 2};
  if (channel >= 0) r.samples = {channel};
  const bool plain = f.samples == entry->colours || (f.photometric == kRgb && f.samples == 4 && r.alpha == 3);
  const bool own =
      channel >= 0 || entry->by != LayoutEntry::By::library || !plain ||
      (range && (f.bits > 8 || r.alpha >= 0) && entry->colours != 4 && f.photometric != kPalette && f.photometric != kYcbcr);
  if (own && (f.photometric == kPalette || f.photometric == kCmyk || f.photometric == kYcbcr))
    throw Error("", "TIFF of a form that is not read: " + in_words(f) + ", " + std::to_string(f.samples) + " samples",
                "save it as 8-bit RGB");
  if (own) {
    r.by = SampleReading::By::own;
  } else if (range) {
    r.table = stretch_table(f, *range, r.inverted);
  }
  return r;
}

void unpack_samples(const TiffLayout& f, const uint8_t* row, int64_t count, double* values) {
  const bool is_signed = f.sample_format == kSigned;
  if (f.sample_format == kFloat) {
    if (f.bits == 64) return widen<double>(row, count, values);
    if (f.bits == 32) return widen<float>(row, count, values);
    widen<uint16_t>(row, count, values);
    for (int64_t i = 0; i < count; ++i) values[i] = half_float(static_cast<uint16_t>(values[i]));
    return;
  }
  switch (f.bits) {
    case 8:
      return is_signed ? widen<int8_t>(row, count, values) : widen<uint8_t>(row, count, values);
    case 16:
      return is_signed ? widen<int16_t>(row, count, values) : widen<uint16_t>(row, count, values);
    case 32:
      return is_signed ? widen<int32_t>(row, count, values) : widen<uint32_t>(row, count, values);
    case 24:
      for (int64_t i = 0; i < count; ++i) {
        const uint8_t* p = row + i * 3;
        values[i] = std::endian::native == std::endian::little ? p[0] | p[1] << 8 | p[2] << 16 : p[2] | p[1] << 8 | p[0] << 16;
      }
      return;
    default:
      unpack_bits(f.bits, row, count, values);
  }
}

void samples_to_rgb(const SampleReading& r, const std::vector<std::vector<double>>& samples, int64_t width, uint8_t* rgb) {
  const double scale = 255 / (r.range.high - r.range.low);
  const size_t colours = r.samples.size();
  for (int64_t x = 0; x < width; ++x, rgb += 3)
    for (size_t c = 0; c < 3; ++c) {
      const double value = samples[colours == 1 ? 0 : c][static_cast<size_t>(x)];
      if (value != value) {
        rgb[c] = 255;
        continue;
      }
      double shown = std::clamp((value - r.range.low) * scale, 0.0, 255.0);
      if (r.inverted) shown = 255 - shown;
      if (r.alpha >= 0) {
        const double a = std::clamp(samples[colours][static_cast<size_t>(x)] / r.opaque, 0.0, 1.0);
        shown = std::min(255.0, (r.associated ? shown : shown * a) + 255 * (1 - a));
      }
      rgb[c] = static_cast<uint8_t>(std::lround(shown));
    }
}

StretchRange automatic_range(const SampleExtremes& met, bool floats, double stated) {
  if (!met.any) return {0, 255};
  if (met.min < 0) return {met.min, std::max(met.largest, met.min + 1)};
  if (floats && met.largest <= 1) return {0, 1};
  if (stated >= met.largest && stated > 0) return {0, stated};
  return {0, std::exp2(bits_for(met.largest)) - 1};
}

}  // namespace cytodet::tiling
