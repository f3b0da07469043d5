// Samples that use a fraction of the values they could have: noticed in any slide, and stretched where that is asked for.
#pragma once

#include <memory>
#include <string>

#include "tiling/slides/slide.h"

namespace cytodet::tiling {

// What is said of samples of `bits` bits whose largest value met is this. stated: what the file calls its largest; 0: nothing.
std::string unused_depth(double largest, int bits, double stated);

// Adds to a slide's selection which values are black and white.
void say_range(std::string& selection, const StretchRange& range);

// 8-bit pixels: looks at a few regions of the coarsest level, until one value is bright, and adds a warning where none is.
void notice_dark(Slide& slide);

// A slide whose 8-bit values `low` to `high` become 0 to 255; automatic: as many bits as a few regions use.
std::unique_ptr<Slide> stretched_slide(std::unique_ptr<Slide> slide, const Stretch& stretch);

}  // namespace cytodet::tiling
