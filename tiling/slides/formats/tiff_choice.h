// Which image of a TIFF a selection (series, level, plane, time, channel) means, and what is left out with it.
#pragma once

#include <string>
#include <vector>

#include "tiling/slides/formats/tiff_contents.h"

namespace cytodet::tiling {

// One image: by level, one place, or those of red, green and blue.
struct TiffChoice {
  std::vector<std::vector<TiffPlace>> levels;
  std::string selection;  // as Slide's, as the next
  std::vector<std::string> warnings;
  SlideContents contents;
};
// Throws Error, naming the choices, when the selection means none of the images, or when none is given and several are as good.
TiffChoice choose_image(const TiffContents& contents, const ImageSelection& selection);

// Everything that the file holds, whether or not one image can be chosen.
SlideContents listing(const TiffContents& contents);

}  // namespace cytodet::tiling
