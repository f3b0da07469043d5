#include "graph/interpret/tensor_rows.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace cytodet::graph {

void need(bool ok, const std::string& problem) {
  if (!ok) throw Error("", problem);
}

Tensor rows(const Tensor& x, int64_t from, int64_t count) {
  Shape s = x.shape();
  if (count == s[0]) return x;
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
  if (parts.size() == 1 && parts[0].dtype() == dtype) return parts[0].reshaped(std::move(shape));
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

Tensor stacked(const std::vector<Tensor>& parts, const Shape& item, DType dtype) {
  Shape s = parts.empty() ? item : parts[0].shape();
  for (int64_t& d : s) d = std::max<int64_t>(d, 0);
  for (const Tensor& p : parts)
    if (p.shape() != s) throw Error("", "items differ in shape");
  s.insert(s.begin(), static_cast<int64_t>(parts.size()));
  return joined(parts, s, dtype);
}

std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& lengths) {
  if (x.rank() < 1) throw Error("", "scalars cannot be split");
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (int64_t n : lengths) {
    if (n < 0 || n > x.dim(0) - at) throw Error("", "the lengths do not fit the value");
    parts.push_back(rows(x, at, n));
    at += n;
  }
  if (at != x.dim(0)) throw Error("", "the lengths do not fit the value");
  return parts;
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

}  // namespace cytodet::graph
