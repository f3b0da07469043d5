// Folders that tests read from and run programs of.
#pragma once

#include <string>

namespace cytodet {

std::string source_dir();  // of the checkout
std::string binary_dir();  // of the build

}  // namespace cytodet
