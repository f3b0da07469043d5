// Why a node has no kernel, for reports.
#pragma once

#include <string>

#include "exec/lower/lowering.h"

namespace cytodet::exec {

// One clause, as in "no kernel computes Conv3D".
std::string plain_reason(const Lowering& low, NodeId id);

}  // namespace cytodet::exec
