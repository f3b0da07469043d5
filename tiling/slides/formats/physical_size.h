// How big a pixel is, by what a file says: the sources in order of trust, what units their writers use, and whether they agree.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cytodet::tiling {

// Micrometres in a unit of length as programs write it: "um", "µm" in Unicode and Latin-1, "\u00B5m", "micron", "nm", "Å", "mm",
// "cm", "inch", ...; upper or lower case where that makes no difference. Empty: no unit of length ("pixel", "reference frame").
std::optional<double> micrometres_in(std::string_view unit);

struct PixelSize {
  double x = 0, y = 0;  // micrometres per pixel
  std::string source;   // property that gives it
};

struct ChosenPixelSize {
  std::optional<PixelSize> size;
  std::string warning;  // another source disagrees, or no microscope has such pixels; empty: neither
};
// The first of the candidates, which are in order of trust.
ChosenPixelSize choose_pixel_size(std::span<const PixelSize> candidates);

// What an image of a TIFF says of its pixels' size.
struct TiffScale {
  std::string description;                   // ImageDescription of the image
  std::vector<std::string> elsewhere;        // those of the file's other images
  float x_resolution = 0, y_resolution = 0;  // pixels per unit; 0: not given
  uint16_t unit = 1;                         // ResolutionUnit: 1 none, 2 inch, 3 centimetre
  int64_t width = 0;                         // pixels
};
ChosenPixelSize tiff_pixel_size(const TiffScale& tiff);

// XResolution and YResolution as a size; empty where there is no unit, or where they are coarser than 12.7 micrometres (72 dots
// per inch and the like, which programs write that know nothing) or finer than 0.005.
std::optional<PixelSize> size_of_resolution(double x, double y, double micrometres_per_unit, std::string source);

// What a PNG (pHYs), JPEG (JFIF) or BMP says by its resolution, as above.
ChosenPixelSize image_pixel_size(std::span<const uint8_t> file);

// The number behind `key` in text of fields "key = value" that "|", ";" or line ends part; a decimal comma counts as a point.
std::optional<double> number_of_field(std::string_view text, std::string_view key);

}  // namespace cytodet::tiling
