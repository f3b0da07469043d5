// The namespaces of the rooms: each may use the names of the rooms that it may include, as scripts/check_rooms has them. The
// namespace cytodet itself holds the public API (include/cytodet) and nothing else.
#pragma once

namespace cytodet {

namespace core {}
namespace graph {
using namespace core;
}
namespace exec {
using namespace core;
using namespace graph;
}  // namespace exec
namespace quant {
using namespace core;
using namespace graph;
using namespace exec;
}  // namespace quant
namespace models {
using namespace core;
}
namespace tiling {
using namespace core;
}
namespace eval {
using namespace core;
}
namespace pipeline {
using namespace core;
using namespace graph;
using namespace exec;
using namespace quant;
using namespace models;
using namespace tiling;
using namespace eval;
}  // namespace pipeline

}  // namespace cytodet
