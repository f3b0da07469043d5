#include "exec/runtime/plan.h"

#include "core/error.h"
#include "exec/kernels/kernels.h"
#include "exec/runtime/compile.h"
#include "exec/runtime/float_filters.h"
#include "exec/runtime/partitioned_plan.h"

namespace cytodet::exec {

Precision precision_named(const std::string& name) {
  if (name == "graph") return Precision::graph;
  if (name == "bf16") return Precision::bf16;
  throw UsageError("precision", "must be graph or bf16, not \"" + name + "\"");
}

bool has_precision(Precision precision) { return precision != Precision::bf16 || kernels().gemm_bf16; }

std::shared_ptr<const Plan> Plan::compile(const Graph& given, const PlanOptions& options) {
  const std::optional<Graph> changed = with_float_filters(given);
  if (!changed) return needs_partition(given, options) ? compile_partitioned(given, options) : compile_straight(given, options);
  PlanOptions named = options;  // what the filters were made of is no output
  if (named.outputs.empty()) named.outputs = find_outputs(given);
  return needs_partition(*changed, named) ? compile_partitioned(*changed, named) : compile_straight(*changed, named);
}

Runner::Runner(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)), stream_(plan_->new_stream()) {}
Runner::~Runner() = default;
Runner::Runner(Runner&&) noexcept = default;

Tensor& Runner::input(int i) { return stream_->input(i); }

void Runner::set_input(int i, Tensor tensor) {
  const TensorSpec& spec = plan_->inputs().at(static_cast<size_t>(i));
  bool fits = spec.dtype == DType::invalid || spec.dtype == tensor.dtype();
  if (is_static(spec.shape)) fits = fits && spec.shape == tensor.shape();
  if (!fits)
    throw Error("input " + spec.name, "is " + name_of(tensor.dtype()) + " " + to_string(tensor.shape()) +
                                          ", but the plan takes " + name_of(spec.dtype) + " " + to_string(spec.shape));
  input(i) = std::move(tensor);
}

void Runner::run() { run({}); }

void Runner::run(const Plan::Tap& tap) {
  for (size_t i = 0; i < plan_->inputs().size(); ++i)
    if (!input(static_cast<int>(i)).defined()) throw Error("input " + plan_->inputs()[i].name, "is not fed", "feed it a value");
  stream_->run(tap);
}

const Tensor& Runner::output(int i) const { return stream_->output(i); }
std::vector<Tensor> Runner::outputs() const {
  std::vector<Tensor> copies;
  for (size_t i = 0; i < plan_->outputs().size(); ++i) copies.push_back(output(static_cast<int>(i)).clone());
  return copies;
}

void Runner::run_timed(std::vector<double>& ms) { stream_->run_timed(ms); }

}  // namespace cytodet::exec
