// Tensor: a typed, shaped, 64-byte aligned, row-major buffer (images are NHWC). Copies share the buffer;
// clone() makes a private one. Written only by whoever made it, before it is shared.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace cytodet::core {

// Dimensions, outermost first. In a partial shape (Fact, attributes) -1 means unknown.
using Shape = std::vector<int64_t>;

// Number of elements. Throws Error when a dimension is negative or the product exceeds 2^62.
int64_t elements(const Shape& shape);
bool is_static(const Shape& shape);         // no -1
std::string to_string(const Shape& shape);  // "[1,512,512,3]", "?" for -1

class Tensor {
 public:
  Tensor() = default;
  // Zero-filled. Throws Error when elements * size exceeds max_tensor_bytes() or the type has no size
  // (string is allowed and holds empty strings).
  Tensor(DType dtype, Shape shape);

  // A tensor over memory that the caller keeps alive (arena, mapped file). `data` must fit dtype and shape.
  static Tensor view(DType dtype, Shape shape, void* data);

  template <class T>
  static Tensor from(Shape shape, std::initializer_list<T> values) {
    return from(std::move(shape), std::vector<T>(values));
  }
  template <class T>
  static Tensor from(Shape shape, const std::vector<T>& values) {
    Tensor t(dtype_of<T>, std::move(shape));
    check_count(t, values.size());
    std::copy(values.begin(), values.end(), t.data<T>());
    return t;
  }
  template <class T>
  static Tensor scalar(T value) {
    Tensor t(dtype_of<T>, {});
    t.data<T>()[0] = value;
    return t;
  }

  bool defined() const { return dtype_ != DType::invalid; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  int64_t dim(int i) const { return shape_[i < 0 ? i + rank() : i]; }
  int64_t size() const { return size_; }
  size_t bytes() const { return static_cast<size_t>(size_) * size_of(dtype_); }

  void* raw() { return data_.get(); }
  const void* raw() const { return data_.get(); }
  // T must match the dtype (q types match their plain integer); otherwise throws Error.
  template <class T>
  T* data() {
    check_type(dtype_of<T>);
    return static_cast<T*>(data_.get());
  }
  template <class T>
  const T* data() const {
    check_type(dtype_of<T>);
    return static_cast<const T*>(data_.get());
  }
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<size_t>(size_)};
  }
  std::vector<std::string>& strings();  // dtype string only
  const std::vector<std::string>& strings() const;

  // Element i as double / int64 whatever the numeric dtype (bool: 0 or 1). For small control tensors.
  double as_double(int64_t i = 0) const;
  int64_t as_int(int64_t i = 0) const;
  std::vector<int64_t> as_ints() const;  // all elements, flattened

  Tensor clone() const;
  // This tensor's buffer under another shape of equal size. Throws Error otherwise.
  Tensor reshaped(Shape shape) const;
  // This tensor's bytes under another dtype of equal size (int8 <-> qint8). Throws Error otherwise.
  Tensor bitcast(DType dtype) const;

 private:
  void check_type(DType t) const;
  static void check_count(const Tensor& t, size_t n);

  DType dtype_ = DType::invalid;
  Shape shape_;
  int64_t size_ = 0;
  std::shared_ptr<void> data_;
};

// Largest single tensor that may be allocated (default 8 GiB): readers and kernels of outside data are bound by it.
int64_t max_tensor_bytes();
void set_max_tensor_bytes(int64_t bytes);

// 64-byte aligned zeroed memory.
std::shared_ptr<void> aligned_buffer(size_t bytes);

}  // namespace cytodet::core
