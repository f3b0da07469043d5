// What a slide's file holds, as info shows it.
#pragma once

#include <string>

#include "core/json_fwd.h"
#include "tiling/slides/slide.h"

namespace cytodet::pipeline {

// Lines of two blanks, a word of up to nine letters, and what it says; empty of a plain image.
std::string contents_text(const SlideContents& contents);
std::string selection_text(const Slide& slide);

// "kind", "bits", "series", "pages", "channels", "planes", "times", "channel_names", "others".
Json contents_json(const SlideContents& contents);

}  // namespace cytodet::pipeline
