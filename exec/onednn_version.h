#pragma once

#include <string>

namespace cytodet {

std::string onednn_version();  // "3.0.1"

}  // namespace cytodet
