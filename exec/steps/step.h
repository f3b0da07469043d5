// Step: one piece of work of a Plan over numbered tensors. Immutable after compile; all state is in the RunContext.
#pragma once

#include <memory>
#include <vector>

#include "core/parallel_team.h"
#include "exec/kernels/kernels.h"
#include "exec/steps/step_info.h"

namespace cytodet::exec {

// How tensors between steps are stored, as their data type.
inline StorageType storage_of(DType type) {
  return type == DType::u8     ? StorageType::q8
         : type == DType::f16  ? StorageType::f16
         : type == DType::bf16 ? StorageType::bf16
                               : StorageType::f32;
}
inline DType type_of(StorageType storage) {
  return storage == StorageType::q8     ? DType::u8
         : storage == StorageType::f16  ? DType::f16
         : storage == StorageType::bf16 ? DType::bf16
                                        : DType::f32;
}

// The elements of a tensor as its producer stored them, row-major (NHWC); the accessors take the index of an element.
struct FeatureMap {
  const void* data;
  StorageType storage;
  float fp16_scale = 1;  // of f16 elements
  const float* f32(int64_t element = 0) const { return static_cast<const float*>(data) + element; }
  Fp16Values f16(int64_t element = 0) const { return {static_cast<const uint16_t*>(data) + element, fp16_scale}; }
  const uint16_t* bf16(int64_t element = 0) const { return static_cast<const uint16_t*>(data) + element; }
  const uint8_t* q8(int64_t element = 0) const { return static_cast<const uint8_t*>(data) + element; }
};

class NodeKernels;

struct RunContext {
  std::vector<Tensor>& tensors;           // by tensor id
  const std::vector<float>& fp16_scales;  // by tensor id
  char* scratch;                          // of the running step: threads * Step::scratch_bytes, 64-byte aligned
  int threads;
  NodeKernels* node_kernels = nullptr;  // of the stream: for nodes whose shapes are known only when they run

  const float* in(int id) const { return static_cast<const Tensor&>(tensors[static_cast<size_t>(id)]).data<float>(); }
  const void* raw(int id) const { return static_cast<const Tensor&>(tensors[static_cast<size_t>(id)]).raw(); }
  float* out(int id) const { return tensors[static_cast<size_t>(id)].data<float>(); }
  // A tensor between steps, stored in whatever way.
  FeatureMap feature_map(int id) const { return {raw(id), storage_of(tensors[static_cast<size_t>(id)].dtype()), fp16_scale(id)}; }
  float fp16_scale(int id) const { return fp16_scales[static_cast<size_t>(id)]; }
  uint8_t* q8_out(int id) const { return tensors[static_cast<size_t>(id)].data<uint8_t>(); }
  // A tensor of f16 or bf16 elements.
  uint16_t* out_16bit(int id) const { return static_cast<uint16_t*>(tensors[static_cast<size_t>(id)].raw()); }
};

// The tensor of output `id`, whose shape may be known only when the step runs. A tensor of this shape, in the arena or left from
// the last run, is used again; else a new one takes its place.
inline Tensor& open_output(RunContext& context, int id, const Shape& shape) {
  Tensor& t = context.tensors[static_cast<size_t>(id)];
  if (!t.defined() || t.dtype() != DType::f32 || t.shape() != shape) t = Tensor(DType::f32, shape);
  return t;
}

class Step {
 public:
  virtual ~Step() = default;
  virtual void run(RunContext& context) const = 0;

  StepInfo info;
  std::vector<int> inputs, outputs;  // tensor ids; read and written
  int64_t scratch_bytes = 0;         // per thread
  bool small = false;                // less work than it takes to wake another thread
};

// Zeroed elements with 64-byte alignment, owned.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t n) : data_(aligned_buffer(static_cast<size_t>(n) * sizeof(T))), size_(n) {}
  T* data() { return static_cast<T*>(data_.get()); }
  const T* data() const { return static_cast<const T*>(data_.get()); }
  int64_t size() const { return size_; }

 private:
  std::shared_ptr<void> data_;
  int64_t size_ = 0;
};

using FloatBuffer = Buffer<float>;

// Lays the buffers of a step's workspace out in scratch memory, each 64-byte aligned. A step's workspace(alloc) asks for its
// buffers one after another; with a null base it only counts (total()), so that the same function computes Step::scratch_bytes.
class ScratchAllocator {
 public:
  explicit ScratchAllocator(char* base) : base_(base) {}
  float* floats(int64_t n) { return allocate<float>(n); }
  uint8_t* bytes(int64_t n) { return allocate<uint8_t>(n); }
  int64_t total() const { return total_; }

 private:
  template <class T>
  T* allocate(int64_t n) {
    char* buffer = base_ ? base_ + total_ : nullptr;
    total_ += (n * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return reinterpret_cast<T*>(buffer);
  }

  char* base_;
  int64_t total_ = 0;
};

}  // namespace cytodet::exec
