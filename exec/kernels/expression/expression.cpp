#include "exec/kernels/expression/expression.h"

namespace cytodet::exec {

const ExpressionKernels& expression_kernels() {
  return isa() >= Isa::avx512 ? kExpressionAvx512 : isa() >= Isa::avx2 ? kExpressionAvx2 : kExpressionBaseline;
}

}  // namespace cytodet::exec
