#include "graph/tensor_rows.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace cytodet {

Tensor rows(const Tensor& x, int64_t from, int64_t count) {
  Shape s = x.shape();
  s[0] = count;
  Tensor out(x.dtype(), s);
  const int64_t inner = x.dim(0) ? x.size() / x.dim(0) : 0;
  if (x.dtype() == DType::string)
    std::copy_n(x.strings().begin() + from * inner, count * inner, out.strings().begin());
  else if (out.bytes())
    std::memcpy(out.raw(), static_cast<const char*>(x.raw()) + static_cast<size_t>(from * inner) * size_of(x.dtype()),
                out.bytes());
  return out;
}
Tensor joined(const std::vector<Tensor>& parts, Shape shape, DType dtype) {
  Tensor out(dtype, std::move(shape));
  size_t at = 0;
  for (const Tensor& p : parts) {
    if (dtype == DType::string)
      std::copy(p.strings().begin(), p.strings().end(), out.strings().begin() + static_cast<long>(at));
    else if (p.bytes())
      std::memcpy(static_cast<char*>(out.raw()) + at, p.raw(), p.bytes());
    at += dtype == DType::string ? static_cast<size_t>(p.size()) : p.bytes();
  }
  return out;
}
Tensor without_first(const Tensor& x) { return x.reshaped(Shape(x.shape().begin() + 1, x.shape().end())); }

Tensor zeros(DType dtype, Shape shape) {
  Tensor t(dtype, std::move(shape));
  if (dtype != DType::string && t.bytes()) std::memset(t.raw(), 0, t.bytes());
  return t;
}

Shape concatenated(const std::vector<Tensor>& parts, std::vector<int64_t>& lengths) {
  Shape s;
  for (const Tensor& p : parts) {
    Shape own = p.shape();
    if (own.empty()) throw Error("", "scalars cannot be concatenated");
    lengths.push_back(own[0]);
    if (s.empty()) s = own, s[0] = 0;
    s[0] += own[0];
    own[0] = s[0];
    if (own != s) throw Error("", "items differ in shape");
  }
  return parts.empty() ? Shape{0} : s;
}

}  // namespace cytodet
