// How the samples of a TIFF's pixels become 8-bit red, green and blue: which forms are read, by whom, and the reading of those
// that neither libjpeg nor libtiff turns into RGB.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tiling/slides/image_selection.h"

namespace cytodet::tiling {

// Tags of a TIFF that say what a sample is, by their numbers in the TIFF 6.0 specification.
struct TiffLayout {
  uint16_t photometric = 1;     // tag 262
  uint16_t sample_format = 1;   // tag 339: 1 unsigned, 2 signed, 3 float, 4 undefined, 5 and 6 complex
  uint16_t bits = 8;            // tag 258, of each sample
  uint16_t samples = 1;         // tag 277
  bool separate = false;        // tag 284: each sample in blocks of its own
  std::vector<uint16_t> extra;  // tag 338, of the last samples: 0 unspecified, 1 associated alpha, 2 unassociated alpha

  bool gray() const { return photometric <= 1; }
  // Samples beyond the colours of which nothing says what they are.
  int unknown_samples() const;
  // Gray samples that each are an image of their own: all but alpha.
  int gray_channels() const;
};
// "RGB, 8 bits", "gray, 16 bits signed, 3 samples".
std::string in_words(const TiffLayout& form);

// What turns the samples of an image into RGB.
struct SampleReading {
  enum class By { library, own } by = By::library;        // libjpeg or libtiff; decode_rows
  std::vector<int> samples = {0};                         // one, shown as gray, or those of red, green and blue
  int alpha = -1;                                         // sample that is alpha; none: -1
  bool associated = false;                                // colours are multiplied by it
  bool inverted = false;                                  // the least value is white
  StretchRange range;                                     // sample values that become black and white
  double opaque = 255;                                    // alpha's largest value
  std::shared_ptr<const std::array<uint8_t, 256>> table;  // of 8-bit values that a library gave; null: as they are
};

// channel: the gray sample to take, -1: all that there is. range: values that become black and white; none: the whole range of
// the sample's bits. Throws Error when the form is not read, or only with a range.
SampleReading sample_reading(const TiffLayout& form, int channel, const std::optional<StretchRange>& range);

// Samples of a row as numbers: `count` values of form.bits bits each, as libtiff gives them: in the order of this machine, those
// of a number of bits that is no multiple of 8 packed from the highest bit on.
void unpack_samples(const TiffLayout& form, const uint8_t* row, int64_t count, double* values);

// A row of pixels into RGB. samples: of each of reading.samples, then of alpha where there is one, `width` values. What is not a
// number becomes white, as what lies outside a slide.
void samples_to_rgb(const SampleReading& reading, const std::vector<std::vector<double>>& samples, int64_t width, uint8_t* rgb);

// The largest and the least of values; only finite numbers count.
struct SampleExtremes {
  double min = 0, largest = 0;
  bool any = false;
  void add(double value) {
    if (!std::isfinite(value)) return;
    min = any ? std::min(min, value) : value;
    largest = any ? std::max(largest, value) : value;
    any = true;
  }
};
// What --stretch auto takes: 0 to the largest number of as many bits as the values need, or as the file states; of floats up to
// 1, 0 to 1; with values below 0, all that were met.
StretchRange automatic_range(const SampleExtremes& met, bool floats, double stated);

}  // namespace cytodet::tiling
