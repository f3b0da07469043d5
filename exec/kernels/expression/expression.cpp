#include "exec/kernels/expression/expression.h"

namespace cytodet::exec {

const ExpressionKernels& expression_kernels() {
  return *core::select_for_isa<const ExpressionKernels*>({
      {Isa::baseline, &kExpressionBaseline},
      {Isa::avx2, &kExpressionAvx2},
      {Isa::avx512, &kExpressionAvx512},
  });
}

}  // namespace cytodet::exec
