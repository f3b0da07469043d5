// Which images of a TIFF make the picture: the first, or the three channels of an OME-TIFF that stores each as a gray image.
#pragma once

#include <cstdint>
#include <vector>

#include "tiling/formats/tiff_file.h"

namespace cytodet {

// Numbers in the main chain: one, or those of red, green and blue. `first` is the image opened there first. Where OME-XML tells
// of more than one colour picture, one gray plane, or three gray 8-bit channels, which image is meant cannot be told: throws
// Error.
std::vector<uint64_t> picture_planes(TiffFile& file, const TiffDirectory& first);

// Whether images can be laid over each other as the channels of one picture: gray 8-bit images of one size, stored in blocks of
// one size.
bool are_channels(const std::vector<TiffDirectory>& images);

}  // namespace cytodet
