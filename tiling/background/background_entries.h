// The entries of background_methods().
#pragma once

#include "tiling/background/background.h"

namespace cytodet::tiling {

// Saturation (HSV, of the image blurred by a 3 x 3 mean) over Otsu's threshold, which is bounded: where all is tissue or all is
// glass the histogram has one hump, and the threshold that splits it means nothing. Otsu, A threshold selection method from
// gray-level histograms, IEEE Trans. SMC 9(1), 1979.
extern const BackgroundMethodEntry kOtsu;
// Standard deviation of luminance in 9 x 9 windows.
extern const BackgroundMethodEntry kVariance;

// Otsu's threshold of 256 counts: values above it are the upper class; 255 when there is but one value.
int otsu_threshold(std::span<const int64_t> histogram);

}  // namespace cytodet::tiling
