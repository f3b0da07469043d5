// Tests, fuzzers and benches see the names of all rooms as names of cytodet. Included by the build before their first line.
#pragma once

#include "core/namespaces.h"

namespace cytodet {
using namespace core;
using namespace graph;
using namespace exec;
using namespace quant;
using namespace models;
using namespace tiling;
using namespace eval;
using namespace pipeline;
}  // namespace cytodet
