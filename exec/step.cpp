#include "exec/step.h"

#include <algorithm>

namespace cytodet {

void for_each_chunk(int threads, int64_t n, const std::function<void(int64_t, int64_t, int)>& body) {
  int used = static_cast<int>(std::clamp<int64_t>(n, 1, std::max(1, threads)));
  if (used == 1) {
    body(0, n, 0);
    return;
  }
#pragma omp parallel for num_threads(used) schedule(static, 1)
  for (int t = 0; t < used; ++t) body(n * t / used, n * (t + 1) / used, t);
}

}  // namespace cytodet
