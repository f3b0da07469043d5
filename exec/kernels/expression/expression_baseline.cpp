#include "exec/kernels/expression/expression-inl.h"

namespace cytodet::exec {
const ExpressionKernels kExpressionBaseline = kThese;
}  // namespace cytodet::exec
