#include "exec/kernels/expression/expression.h"

namespace cytodet::exec {

const ExpressionKernels& expression_kernels() {
  return *core::select_for_isa<const ExpressionKernels*>({
      {Isa::baseline, &kExpressionBaseline},
#ifdef CYTODET_HAS_AVX2
      {Isa::avx2, &kExpressionAvx2},
#endif
#ifdef CYTODET_HAS_AVX512
      {Isa::avx512, &kExpressionAvx512},
#endif
  });
}

}  // namespace cytodet::exec
