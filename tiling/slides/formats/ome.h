// What an OME-TIFF's ImageDescription, a piece of OME-XML, says of its pixels.
// Form: www.openmicroscopy.org/Schemas/OME/2016-06, elements Pixels and TiffData.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cytodet::tiling {

// Micrometres per pixel, x and y, of the first image: PhysicalSizeX, PhysicalSizeY (missing: as X) of the first Pixels element,
// each in its ...Unit (missing: micrometres). Empty: no OME-XML, none given, of a unit that is no length, or below 0.001 or above
// 1000.
std::optional<std::array<double, 2>> ome_pixel_size(std::string_view description);

bool is_ome(std::string_view description);

}  // namespace cytodet::tiling
