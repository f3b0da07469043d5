// A network's file as recognisers see it.
#pragma once

#include <string>

#include "models/recognise.h"

namespace cytodet::pipeline {

// Images are channels last. A size of the image that the file leaves open is taken from the answers. Throws Error with the path:
// a file that cannot be read.
NetworkDescription describe_network(const std::string& path, const ImportAnswers& answers);

}  // namespace cytodet::pipeline
