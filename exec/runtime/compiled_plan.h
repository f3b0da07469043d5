// A graph without loops and conditions as a fixed list of steps over numbered tensors.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "exec/runtime/plan.h"
#include "exec/steps/step.h"

namespace cytodet::exec {

struct Place {
  enum Kind { unset, constant, input, arena, dynamic } kind = unset;
  DType dtype = DType::f32;
  Shape shape;
  Tensor value;        // constant
  int64_t offset = 0;  // arena
};

class CompiledPlan : public Plan {
 public:
  std::vector<std::unique_ptr<Step>> list;
  std::vector<Place> places;
  std::vector<float> fp16_scales;  // of f16 tensors, by place
  std::vector<int> input_ids, output_ids, tap_ids;
  std::vector<TensorSpec> input_specs, output_specs;
  int64_t arena_size = 0, scratch_size = 0;
  int threads = 1, plain = 0;

  const std::vector<TensorSpec>& inputs() const override { return input_specs; }
  const std::vector<TensorSpec>& outputs() const override { return output_specs; }
  std::vector<StepInfo> steps() const override;
  int64_t arena_bytes() const override { return arena_size + scratch_size; }
  int64_t stream_bytes() const override;
  int plain_steps() const override { return plain; }

 protected:
  std::unique_ptr<Stream> new_stream() const override;
};

}  // namespace cytodet::exec
