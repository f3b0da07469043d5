// Pixels that a caller holds in memory, as a slide of one level.
#pragma once

#include <memory>
#include <string>

#include "cytodet/c.h"
#include "tiling/slides/slide.h"

namespace cytodet::api {

// Reads from the caller's pixels, which must stay. Throws UsageError on what cytodet_detect_images() calls wrong; `name` is put
// before it.
std::unique_ptr<tiling::Slide> make_pixels_slide(const cytodet_image& image, const std::string& name);
void check(const cytodet_image& image, const std::string& name);

}  // namespace cytodet::api
