// Slides that are spread over several files: whether the others are there.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cytodet::tiling {

// Each throws Error (without the file's name) that names the missing files and their folder, and what to do.

// MIRAX: X.mrxs holds a preview; the folder X holds Slidedat.ini, and the index and data files that it names.
void check_mirax_parts(const std::filesystem::path& file);
// Hamamatsu VMS and VMU: a text file that names the images beside it.
void check_hamamatsu_parts(const std::filesystem::path& file);
// Their names; empty for files of other extensions, and for those that cannot be read.
std::vector<std::string> hamamatsu_parts(const std::filesystem::path& file);
// Olympus: _X_/stack*/frame*.ets beside X.vsi. Always throws for a .vsi; for a TIFF of another name where it has such a folder
// and no .vsi lies beside it.
void check_olympus_parts(const std::filesystem::path& file);

}  // namespace cytodet::tiling
