// A network's file as recognisers see it.
#pragma once

#include <string>

#include "models/recognise.h"

namespace cytodet::pipeline {

// Images are channels last. Where the file leaves the size of an image open, that of the answers is taken. Throws Error with the
// path: a file that cannot be read.
NetworkDescription describe_network(const std::string& path, const ImportAnswers& answers);

}  // namespace cytodet::pipeline
