// Files that were split for a disk or a transfer: S1.svs.001, S1.zip.part2, S1.tif.ab, S1.z01.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace cytodet::tiling {

// The file that pieces of this name make together, "S1.svs" of "S1.svs.001"; empty: the name is not that of a piece.
std::filesystem::path whole_of_piece(const std::filesystem::path& path);

// Throws Error (without the file's name) where a file is a piece by its name, and by its content (`head`) and that of the next
// one not one of several whole images that are numbered.
void check_split_piece(const std::filesystem::path& path, std::span<const uint8_t> head);

}  // namespace cytodet::tiling
