// Step: one piece of work of a Plan over numbered tensors. Immutable after compile; all state is in the RunContext.
#pragma once

#include <memory>
#include <vector>

#include "core/parallel_team.h"
#include "exec/kernels/kernels.h"
#include "exec/steps/step_info.h"

namespace cytodet::exec {

// The forms that tensors between steps are stored in.
inline Form form_of(DType type) {
  return type == DType::u8 ? Form::codes : type == DType::f16 ? Form::halves : type == DType::bf16 ? Form::bf16 : Form::floats;
}
inline DType type_of(Form form) {
  return form == Form::codes ? DType::u8 : form == Form::halves ? DType::f16 : form == Form::bf16 ? DType::bf16 : DType::f32;
}

// Numbers of a tensor as its producer stored them.
struct Map {
  const void* data;
  Form form;
  float unit = 1;  // of halves
  const float* floats(int64_t number = 0) const { return static_cast<const float*>(data) + number; }
  Halves halves(int64_t number = 0) const { return {static_cast<const uint16_t*>(data) + number, unit}; }
  const uint16_t* bf16(int64_t number = 0) const { return static_cast<const uint16_t*>(data) + number; }
  const uint8_t* codes(int64_t number = 0) const { return static_cast<const uint8_t*>(data) + number; }
};

struct RunContext {
  std::vector<Tensor>& tensors;     // by tensor id
  const std::vector<float>& units;  // of halves, by tensor id
  char* scratch;                    // of the running step: threads * Step::scratch_bytes, 64-byte aligned pieces
  int threads;

  const float* in(int id) const { return static_cast<const Tensor&>(tensors[static_cast<size_t>(id)]).data<float>(); }
  const void* raw(int id) const { return static_cast<const Tensor&>(tensors[static_cast<size_t>(id)]).raw(); }
  float* out(int id) const { return tensors[static_cast<size_t>(id)].data<float>(); }
  // Of a tensor between steps that may be in any form.
  Map map(int id) const { return {raw(id), form_of(tensors[static_cast<size_t>(id)].dtype()), unit(id)}; }
  float unit(int id) const { return units[static_cast<size_t>(id)]; }
  uint8_t* codes_out(int id) const { return tensors[static_cast<size_t>(id)].data<uint8_t>(); }
  // Of halves and of bfloat16 numbers.
  uint16_t* shorts_out(int id) const { return static_cast<uint16_t*>(tensors[static_cast<size_t>(id)].raw()); }
};

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

// Cuts a scratch area into 64-byte aligned pieces; with a null base it only counts (total()).
class ScratchCutter {
 public:
  explicit ScratchCutter(char* base) : base_(base) {}
  float* floats(int64_t n) { return cut<float>(n); }
  uint8_t* bytes(int64_t n) { return cut<uint8_t>(n); }
  int64_t total() const { return total_; }

 private:
  template <class T>
  T* cut(int64_t n) {
    char* piece = base_ ? base_ + total_ : nullptr;
    total_ += (n * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return reinterpret_cast<T*>(piece);
  }

  char* base_;
  int64_t total_ = 0;
};

}  // namespace cytodet::exec
