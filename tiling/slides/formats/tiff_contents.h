// What a TIFF holds: its series (images in their own right), their levels, focal planes, points in time, channels, and what else
// there is (label, macro, thumbnail, ...), by what its writer says. Which of them a selection means: tiff_choice.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tiling/slides/formats/tiff_file.h"

namespace cytodet::tiling {

// The place of an image in the file: its directory, and the sample that is meant.
struct TiffPlace {
  bool sub = false;
  uint64_t where = 0;   // as in TiffDirectory
  int64_t stack = 0;    // as in TiffDirectory
  int channel = -1;     // gray sample of the image that is meant; -1: all that it has
  std::string problem;  // why it is not there: "lies in another file, b.tif"; empty: it is
};

// A series: one image with its levels, focal planes, points in time and channels.
struct TiffSeries {
  std::string name;
  int64_t width = 0, height = 0;
  TiffLayout form;
  int channels = 1, planes = 1, times = 1;
  std::vector<std::string> channel_names;  // as many as channels, or none
  int base_plane = -1;                     // that the writer calls its own; -1: none
  std::optional<std::array<int, 3>> rgb;   // channels that are red, green and blue
  std::string not_rgb;                     // why its three channels are not
  // By (time * planes + plane) * channels + channel: the full size, then its levels.
  std::vector<std::vector<TiffPlace>> images;

  const std::vector<TiffPlace>& at(int time, int plane, int channel) const {
    return images[static_cast<size_t>((int64_t{time} * planes + plane) * channels + channel)];
  }
};

struct TiffContents {
  std::string kind;  // "Aperio SVS", "ImageJ TIFF", "OME-TIFF", "QPTIFF", ..., "TIFF"
  int64_t pages = 1;
  bool unrelated = false;  // series are pages of which nothing says what they are to each other
  std::vector<TiffSeries> series;
  std::vector<HeldImage> others;
  std::vector<TiffPage> chain;  // the images of the main chain, as far as they were looked at
  std::string damage;           // why the chain breaks off
  std::string set_of;           // the file that says what this one of a set of OME-TIFFs holds; empty: this one does
};

// Whether `level` is `full`, smaller: of the same shape, form and orientation, no mask, and in tiles or marked as reduced.
bool is_level(const TiffDirectory& full, const TiffDirectory& level);

// Makes the samples of a gray image, where it has several, the channels of its series.
void add_samples_as_channels(TiffSeries& s);

// Throws Error when the file is damaged, or names images that it does not hold.
TiffContents tiff_contents(TiffFile& file);

}  // namespace cytodet::tiling
