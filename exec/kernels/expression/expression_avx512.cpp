#include "exec/kernels/expression/expression-inl.h"

namespace cytodet::exec {
const ExpressionKernels kExpressionAvx512 = kThese;
}  // namespace cytodet::exec
