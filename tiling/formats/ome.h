// What an OME-TIFF's ImageDescription, a piece of OME-XML, tells of its pixels.
// Form: www.openmicroscopy.org/Schemas/OME/2016-06, elements Pixels and TiffData.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cytodet {

// Micrometres per pixel, x and y, of the first image: PhysicalSizeX, PhysicalSizeY (missing: as X) of the first Pixels element,
// each in its ...Unit (missing: micrometres). Empty: no OME-XML, none told, of a unit that is no length, or below 0.001 or above
// 1000.
std::optional<std::array<double, 2>> ome_pixel_size(std::string_view description);

// Planes of the first image: SizeC, SizeZ and SizeT of its Pixels. A colour plane counts as three channels.
struct OmeSizes {
  uint32_t channels = 0, depths = 0, times = 0;
};
// Empty: no OME-XML, no Pixels element (its XML lies in another file), or a size that is missing or no positive number.
std::optional<OmeSizes> ome_sizes(std::string_view description);
bool is_ome(std::string_view description);

// Numbers in the chain of images of the planes of three channels, one depth and one time, by the first image's TiffData elements;
// without these in order. Throws Error when a channel lies nowhere, or when the planes are spread over several files.
std::array<uint32_t, 3> ome_channel_planes(std::string_view description);

}  // namespace cytodet
