// Plan: a Graph compiled once for given input shapes: immutable, shared by all threads. Runner: one thread's arena.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/steps/step_info.h"
#include "graph/ir/graph.h"

namespace cytodet::exec {

// What layers that the graph keeps in float compute in: float; or bf16 products and feature maps, and swish to 2.4e-3
// (docs/bench.md).
enum class Precision { graph, bf16 };
// By name, "graph" or "bf16". Throws UsageError on another.
Precision precision_named(const std::string& name);
bool has_precision(Precision precision);  // this CPU's kernels compute in it

struct PlanOptions {
  std::map<std::string, Shape> input_shapes;  // by input name; needed where the Placeholder's own shape is not static
  std::vector<std::string> outputs;           // "name" or "name:slot"; empty: find_outputs(graph)
  std::vector<std::string> taps;  // values to be seen by run(tap): computed as they stand, nothing is fused across them
  int threads = 1;                // used inside one run()
  Precision precision = Precision::graph;
  bool fuse = true;               // false: one plain step per node (the oracle of the kernels)
  bool quantized_inputs = false;  // inputs that all readers would quantize alike take quantized bytes: TensorSpec::quant
};

// How a value of an input becomes its byte: clamp(round(value * inverse_scales[channel]), qmin, qmax) - qmin.
struct InputQuantParams {
  std::vector<float> inverse_scales;
  float qmin = 0, qmax = 255;
};

struct TensorSpec {
  std::string name;  // as asked for
  DType dtype = DType::invalid;
  Shape shape;                                 // -1 where only known at run time
  std::optional<InputQuantParams> quant = {};  // of an input that takes quantized bytes; dtype is u8
};

class Plan {
 public:
  // Throws Error naming the node: unknown op on the needed path, cycle, input without a shape, NaN or infinite weights,
  // a precision that this CPU lacks. A graph with loops or conditions becomes several plans (partitioned_plan.h).
  static std::shared_ptr<const Plan> compile(const Graph& graph, const PlanOptions& options);
  virtual ~Plan() = default;

  virtual const std::vector<TensorSpec>& inputs() const = 0;
  virtual const std::vector<TensorSpec>& outputs() const = 0;
  virtual std::vector<StepInfo> steps() const = 0;
  virtual int64_t arena_bytes() const = 0;
  virtual int64_t stream_bytes() const = 0;  // of one Runner: arena, scratch and inputs; weights are the Plan's
  virtual int plain_steps() const = 0;       // steps without a kernel

  // tap(i, value) of PlanOptions::taps[i].
  using Tap = std::function<void(int, const Tensor&)>;

  // The tensors of one Runner. Indices as in inputs() and outputs().
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual Tensor& input(int i) = 0;
    virtual const Tensor& output(int i) const = 0;
    virtual void run(const Tap& tap) = 0;
    virtual void run_timed(std::vector<double>& ms) = 0;
  };

 protected:
  friend class Runner;
  virtual std::unique_ptr<Stream> new_stream() const = 0;
};

class Runner {
 public:
  explicit Runner(std::shared_ptr<const Plan> plan);
  ~Runner();
  Runner(Runner&&) noexcept;

  // Fill before run(); the buffer stays the same. Index as in Plan::inputs(). For an input whose shape is not static,
  // set_input replaces it.
  Tensor& input(int i);
  void set_input(int i, Tensor tensor);
  void run();
  // run(), calling tap(i, value) as soon as the value exists; it is valid during the call only.
  void run(const Plan::Tap& tap);
  // Valid until the next run(). Index as in Plan::outputs().
  const Tensor& output(int i) const;
  std::vector<Tensor> outputs() const;  // copies of all, in the order of Plan::outputs()
  // run(), adding each step's milliseconds to ms[step] (resized to the number of steps).
  void run_timed(std::vector<double>& ms);
  const Plan& plan() const { return *plan_; }

 private:
  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Plan::Stream> stream_;
};

}  // namespace cytodet::exec
