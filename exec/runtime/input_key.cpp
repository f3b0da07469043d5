#include "exec/runtime/input_key.h"

namespace cytodet::exec {

bool is_small_integer(const Tensor& t) { return (t.dtype() == DType::i32 || t.dtype() == DType::i64) && t.size() <= 8; }

std::string key_of(std::span<const Tensor> inputs) {
  std::string key;
  for (const Tensor& t : inputs) {
    key += name_of(t.dtype()) + to_string(t.shape());
    if (is_small_integer(t))
      for (int64_t v : t.as_ints()) key += "," + std::to_string(v);
    key += ";";
  }
  return key;
}

}  // namespace cytodet::exec
