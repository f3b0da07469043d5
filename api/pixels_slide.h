// Pixels that a caller holds in memory, as a slide of one level.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/image.h"
#include "cytodet/c.h"
#include "tiling/slides/slide.h"

namespace cytodet::api {

// Reads from the caller's pixels, which must stay. Throws UsageError on what cytodet_detect_images() calls wrong; `name` is put
// before it.
std::unique_ptr<tiling::Slide> make_pixels_slide(const cytodet_image& image, const std::string& name);
void check(const cytodet_image& image, const std::string& name);

// The caller's structs as this version knows them. Throws UsageError: a NULL, no image, a struct_size that cannot be.
std::vector<cytodet_image> images_of(const cytodet_image* images, size_t count);
// All pixels of a small image. Throws UsageError as check(), and where a side is above 2^20 pixels.
core::Image pixels_of(const cytodet_image& image, const std::string& name);

}  // namespace cytodet::api
