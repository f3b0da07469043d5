#pragma once

#include <string>

namespace cytodet::exec {

std::string onednn_version();  // "3.0.1"

}  // namespace cytodet::exec
