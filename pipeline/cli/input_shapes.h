// Shapes of inputs on the command line.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace cytodet::pipeline {

// "image=1,512,512,3" -> name and shape. Throws UsageError.
std::map<std::string, Shape> parse_shapes(const std::vector<std::string>& texts, const std::string& option = "--shape");

}  // namespace cytodet::pipeline
