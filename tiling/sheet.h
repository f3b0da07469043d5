// Pictures side by side, each under its title.
#pragma once

#include <string>
#include <vector>

#include "core/image.h"

namespace cytodet {

struct TitledPicture {
  std::string title;
  Image picture;
};

// Row by row on white; a row is as high as its highest picture. Titles are cut at the picture's width.
Image draw_sheet(const std::vector<TitledPicture>& pictures, int columns);

}  // namespace cytodet
