// Pieces of a page that stands alone: no script, nothing loaded from elsewhere.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/image.h"
#include "eval/coco.h"

namespace cytodet::pipeline {

// Text as it may stand in HTML, also between quotes. Bytes that are not UTF-8, and control characters, become U+FFFD.
std::string escape_html(std::string_view text);

// Numbers as people read them: 1,234,567 and, with decimals, 12.34.
std::string grouped(int64_t v);
std::string rounded(double v, int decimals);

// <img> with the image inside, as JPEG.
std::string embed_image(const Image& image, std::string_view caption, int quality = 80);
std::string base64(std::string_view bytes);

// <table>; head and cells are HTML. Columns from `numbers` on are set right.
std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows, size_t numbers = 1);

// Precision over recall of each class at IoU 0.5 (full) and 0.75 (dashed), as <svg>. Classes without ground truth are left out.
std::string precision_recall_svg(const Scores& scores);

// A bar of coloured parts, as wide as its sum's share of `max`, as <svg>.
std::string stacked_bar(std::span<const double> parts, double max);
// A square in the colour that stacked_bar gives its part of this number.
std::string stage_key(size_t stage);

// "rgb(1,2,3)" of class_colour().
std::string css_colour(int category);

}  // namespace cytodet::pipeline
