// The openers behind the rows of slide_formats().
#pragma once

#include "tiling/slide.h"

namespace cytodet {

std::unique_ptr<Slide> open_tiff(const std::string& path, const ImageSelection& selection = {});
// Aperio slides whose levels are all plain JPEG and complete; null for all others.
std::unique_ptr<Slide> open_svs(const std::string& path, const ImageSelection& selection = {});
std::unique_ptr<Slide> open_kfb(const std::string& path, const ImageSelection& selection = {});
std::unique_ptr<Slide> open_openslide(const std::string& path, const ImageSelection& selection = {});
std::string openslide_vendor(const std::string& path);  // empty when OpenSlide does not know the file

}  // namespace cytodet
