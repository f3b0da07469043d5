// Geometry of a slide: the frame that its coordinates count in, the size of its pixels [µm], the area that was analysed. Tile
// grid, regions of interest, areas and exports all take it from here.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/box.h"
#include "tiling/slides/slide.h"

namespace cytodet::tiling {

struct TilingSettings;

// From what pixel coordinates count. All boxes in the program are in `slide`: level-0 pixels from the upper left corner of the
// slide's canvas, as OpenSlide counts them. Programs that show the scanned part alone (QuPath, unless set not to crop) count
// from the corner of that: `bounds`.
enum class Origin { bounds, slide };
const char* name_of(Origin origin);  // "bounds" or "slide"
// Throws UsageError with the known ones; `where` names the setting.
Origin origin_named(const std::string& name, const std::string& where);

inline Box box_of(const PixelArea& a) {
  return {static_cast<double>(a.x), static_cast<double>(a.y), static_cast<double>(a.x + a.width),
          static_cast<double>(a.y + a.height)};
}

// The part of level 0 that holds the scan: the format's bounds, cut to the canvas; all of it where the format gives none.
PixelArea scanned_area(const Slide& slide);
// The scanned parts one by one, of a slide that holds several with nothing between them; at least one.
std::vector<Box> scanned_parts(const Slide& slide);

// Whether slides with a file of this name may have bounds (Leica, MIRAX, Ventana), for warnings where the file is not at hand.
bool may_have_bounds(const std::string& path);
// The bounds of a slide's file, which is opened for it; empty when it has none or cannot be opened.
std::optional<PixelArea> bounds_of_file(const std::string& path);

// Level-0 pixel that is (0, 0) of the frame.
std::array<double, 2> frame_corner(const std::optional<PixelArea>& bounds, Origin origin);

// Settings lay down what the file does not say, or says wrongly: set_mpp overrules the file, assume_mpp stands in where it says
// nothing. A file that gives x alone has square pixels. An assume_mpp that is not used since the file says otherwise becomes part
// of slide.mpp_warning.
void settle_pixel_size(Slide& slide, const TilingSettings& settings);

// Whether pixels may be treated as square: sides equal within 1 %, which no detector sees.
bool is_square(double mpp_x, double mpp_y);

// "0.25", or "0.5 x 0.25" where the sides differ when written with four places.
std::string pixel_size_text(double mpp_x, double mpp_y);

// mm² of a number of level-0 pixels.
inline double square_millimetres(double pixels, double mpp_x, double mpp_y) { return pixels * mpp_x * mpp_y / 1e6; }

}  // namespace cytodet::tiling
