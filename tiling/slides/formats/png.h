// libpng behind errors that are thrown.
#pragma once

#include <string>

#include "core/image.h"

namespace cytodet::tiling {

std::string encode_png(const Image& image);

}  // namespace cytodet::tiling
