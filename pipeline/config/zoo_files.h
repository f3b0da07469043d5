// The files of configs/zoo/, built into the program.
#pragma once

#include <string_view>

namespace cytodet::pipeline::zoo_files {

extern const std::string_view kModels, kModelFiles;

}  // namespace cytodet::pipeline::zoo_files
