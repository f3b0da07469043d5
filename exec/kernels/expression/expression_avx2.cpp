#include "exec/kernels/expression/expression-inl.h"

namespace cytodet::exec {
const ExpressionKernels kExpressionAvx2 = kThese;
}  // namespace cytodet::exec
