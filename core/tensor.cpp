#include "core/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/error.h"
#include "core/stop.h"

namespace cytodet::core {
namespace {

std::atomic<int64_t> g_max_bytes{int64_t{8} << 30};

DType plain(DType t) {
  switch (t) {
    case DType::qint8:
      return DType::i8;
    case DType::quint8:
      return DType::u8;
    case DType::qint16:
      return DType::i16;
    case DType::quint16:
      return DType::u16;
    case DType::qint32:
      return DType::i32;
    default:
      return t;
  }
}

// A float as R; NaN and what R cannot hold is an Error when R is an integer.
template <class R>
R narrow(double v) {
  if constexpr (std::is_integral_v<R>)
    if (!(v >= -9.2e18 && v <= 9.2e18)) throw Error("", "the number " + std::to_string(v) + " where an integer is needed");
  return static_cast<R>(v);
}

template <class R>
R element(const Tensor& t, int64_t i) {
  if (i < 0 || i >= t.size())
    throw Error("", "element " + std::to_string(i) + " of a tensor of " + std::to_string(t.size()) + " elements is needed");
  switch (plain(t.dtype())) {
    case DType::f32:
      return narrow<R>(t.data<float>()[i]);
    case DType::f64:
      return narrow<R>(t.data<double>()[i]);
    case DType::f16:
      return narrow<R>(static_cast<float>(t.data<Half>()[i]));
    case DType::bf16:
      return narrow<R>(static_cast<float>(t.data<BFloat16>()[i]));
    case DType::i8:
      return static_cast<R>(t.data<int8_t>()[i]);
    case DType::i16:
      return static_cast<R>(t.data<int16_t>()[i]);
    case DType::i32:
      return static_cast<R>(t.data<int32_t>()[i]);
    case DType::i64:
      return static_cast<R>(t.data<int64_t>()[i]);
    case DType::u8:
      return static_cast<R>(t.data<uint8_t>()[i]);
    case DType::u16:
      return static_cast<R>(t.data<uint16_t>()[i]);
    case DType::u32:
      return static_cast<R>(t.data<uint32_t>()[i]);
    case DType::u64:
      return static_cast<R>(t.data<uint64_t>()[i]);
    case DType::boolean:
      return static_cast<R>(t.data<bool>()[i]);
    default:
      throw Error("", "a " + name_of(t.dtype()) + " tensor where a number is needed");
  }
}

}  // namespace

int64_t max_tensor_bytes() { return g_max_bytes; }
void set_max_tensor_bytes(int64_t bytes) { g_max_bytes = bytes; }

int64_t elements(const Shape& shape) {
  int64_t n = 1;
  bool empty = false;
  for (int64_t d : shape) {
    if (d < 0) throw Error("", "shape " + to_string(shape) + " has a negative dimension");
    if (d == 0)
      empty = true;
    else if (n > (int64_t{1} << 62) / d)
      throw Error("", "shape " + to_string(shape) + " is too large");
    else
      n *= d;
  }
  return empty ? 0 : n;
}

bool is_static(const Shape& shape) {
  for (int64_t d : shape)
    if (d < 0) return false;
  return true;
}

std::string to_string(const Shape& shape) {
  std::string s = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i) s += ',';
    s += shape[i] < 0 ? "?" : std::to_string(shape[i]);
  }
  return s + "]";
}

// One allocation for the bytes and their owner: loops make thousands of scalars.
static std::shared_ptr<void> small_buffer(size_t bytes) {
  const std::shared_ptr<char[]> owner = std::make_shared<char[]>(bytes + 63);
  const auto address = reinterpret_cast<uintptr_t>(owner.get());
  return {owner, owner.get() + ((address + 63) / 64 * 64 - address)};
}

std::shared_ptr<void> aligned_buffer(size_t bytes) {
  constexpr size_t kSmall = 896;
  if (bytes <= kSmall) return small_buffer(bytes);
  constexpr size_t kHugePage = size_t{2} << 20;
  const bool huge = bytes >= kHugePage;
  const size_t rounded = (std::max<size_t>(bytes, 1) + 63) / 64 * 64;
  void* p = nullptr;
  if (posix_memalign(&p, huge ? kHugePage : 64, rounded) != 0) p = nullptr;
  if (p && huge) madvise(p, rounded / kHugePage * kHugePage, MADV_HUGEPAGE);  // maps are walked once: few pages, few misses
  if (!p) throw Error("", "out of memory allocating " + std::to_string(bytes) + " bytes", "use smaller inputs or fewer streams");
  std::shared_ptr<void> buffer(p, [](void* q) { std::free(q); });
  constexpr size_t kPart = size_t{64} << 20;  // gigabytes take seconds
  for (size_t at = 0; at < rounded; at += kPart) {
    if (huge) check_stop();
    std::memset(static_cast<char*>(p) + at, 0, std::min(kPart, rounded - at));
  }
  return buffer;
}

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)), size_(elements(shape_)) {
  if (dtype_ == DType::string) {
    if (size_ > g_max_bytes / int64_t{sizeof(std::string)})
      throw Error(
          "", "string tensor of shape " + to_string(shape_) + " is over the limit of " + std::to_string(g_max_bytes) + " bytes");
    auto strings = std::make_shared<std::vector<std::string>>(static_cast<size_t>(size_));
    data_ = std::shared_ptr<void>(strings, strings.get());
    return;
  }
  size_t item = size_of(dtype_);
  if (item == 0) throw Error("", "tensors of type " + name_of(dtype_) + " cannot be held");
  if (size_ > g_max_bytes / static_cast<int64_t>(item))
    throw Error("", "tensor of shape " + to_string(shape_) + " is over the limit of " + std::to_string(g_max_bytes) + " bytes");
  data_ = aligned_buffer(bytes());
}

Tensor Tensor::view(DType dtype, Shape shape, void* data) {
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = std::move(shape);
  t.size_ = elements(t.shape_);
  t.data_ = std::shared_ptr<void>(std::shared_ptr<void>(), data);
  return t;
}

std::vector<std::string>& Tensor::strings() {
  check_type(DType::string);
  return *static_cast<std::vector<std::string>*>(data_.get());
}
const std::vector<std::string>& Tensor::strings() const { return const_cast<Tensor*>(this)->strings(); }

double Tensor::as_double(int64_t i) const { return element<double>(*this, i); }
int64_t Tensor::as_int(int64_t i) const { return element<int64_t>(*this, i); }

std::vector<int64_t> Tensor::as_ints() const {
  std::vector<int64_t> v(static_cast<size_t>(size_));
  for (int64_t i = 0; i < size_; ++i) v[static_cast<size_t>(i)] = as_int(i);
  return v;
}

Tensor Tensor::clone() const {
  Tensor t(dtype_, shape_);
  if (dtype_ == DType::string)
    t.strings() = strings();
  else
    std::memcpy(t.raw(), raw(), bytes());
  return t;
}

Tensor Tensor::reshaped(Shape shape) const {
  if (elements(shape) != size_) throw Error("", "cannot reshape " + to_string(shape_) + " to " + to_string(shape));
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::bitcast(DType dtype) const {
  if (size_of(dtype) != size_of(dtype_) || size_of(dtype) == 0)
    throw Error("", "cannot view " + name_of(dtype_) + " as " + name_of(dtype));
  Tensor t = *this;
  t.dtype_ = dtype;
  return t;
}

void Tensor::check_type(DType t) const {
  if (plain(dtype_) != plain(t)) throw Error("", "a " + name_of(dtype_) + " tensor where " + name_of(t) + " is needed");
}

void Tensor::check_count(const Tensor& t, size_t n) {
  if (static_cast<size_t>(t.size()) != n)
    throw Error("", std::to_string(n) + " values for a tensor of shape " + core::to_string(t.shape()));
}

}  // namespace cytodet::core
