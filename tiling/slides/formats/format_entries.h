// The openers behind the entries of slide_formats().
#pragma once

#include "tiling/slides/slide.h"

namespace cytodet::tiling {

std::unique_ptr<Slide> open_png(const std::string& path, const ImageSelection& selection = {});
std::unique_ptr<Slide> open_tiff(const std::string& path, const ImageSelection& selection = {});
// What a TIFF holds, whether or not one image of it can be chosen.
SlideContents list_tiff(const std::string& path);
// Aperio slides whose levels are all plain JPEG and complete, or that have several focal planes; null for all others.
std::unique_ptr<Slide> open_svs(const std::string& path, const ImageSelection& selection = {});
std::unique_ptr<Slide> open_kfb(const std::string& path, const ImageSelection& selection = {});
std::unique_ptr<Slide> open_openslide(const std::string& path, const ImageSelection& selection = {});
std::string openslide_vendor(const std::string& path);     // empty when OpenSlide does not know the file
std::string openslide_complaint(const std::string& path);  // what OpenSlide says of a file it does not open; may be empty

}  // namespace cytodet::tiling
