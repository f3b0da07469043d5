// Parts of a slide at any size, for images that people look at.
#pragma once

#include <array>
#include <atomic>

#include "core/box.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

// `area` (level-0 pixels) as an image of width x height pixels, from the coarsest level that is no coarser than the image,
// read piece by piece: memory stays at the image's plus a few MiB per thread. Outside the slide is white. Enlarging is
// bilinear, shrinking the mean. `stop` (may be null): when it becomes true, Error "stopped" is thrown soon. What the slide throws
// is passed on.
Image read_scaled(const Slide& slide, const Box& area, int width, int height, const std::atomic<bool>* stop = nullptr);

// What was scanned of the slide, longer side at most max_side pixels, never enlarged.
Image thumbnail(const Slide& slide, int max_side);

// One colour per class, the same in every image and file: eight, then again from the first.
std::array<uint8_t, 3> class_colour(int category);

}  // namespace cytodet::tiling
