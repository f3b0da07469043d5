#include "exec/runtime/partitioned_plan.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "core/error.h"
#include "core/lru_cache.h"
#include "core/timing.h"
#include "exec/runtime/compile.h"
#include "exec/runtime/input_key.h"
#include "exec/runtime/node_kernels.h"
#include "exec/runtime/partition.h"
#include "graph/interpret/control_flow.h"
#include "graph/ir/endpoints.h"
#include "graph/ir/frames.h"

namespace cytodet::exec {
namespace {

using Values = std::map<Value, Tensor>;

// A part compiled for certain inputs: those that stayed inputs, by their index among the part's.
struct Compiled {
  std::string key;
  std::shared_ptr<const Plan> plan;
  std::vector<int> inputs;
};

struct PartPlan {
  Part part;
  std::vector<std::string> taps;          // in part.graph
  std::vector<int> tap_ids;               // their indices in PlanOptions::taps
  std::shared_ptr<const Compiled> known;  // its shapes do not depend on data
};

// The plans of one part for several sizes, from any thread.
class SizeCache {
 public:
  template <class Make>
  std::shared_ptr<const Compiled> get(const std::string& key, Make make) {
    const std::lock_guard lock(mutex_);
    if (const auto* known = plans_.get(key)) return *known;
    return plans_.put(key, make());
  }

  // The plan used last; null: none yet.
  std::shared_ptr<const Compiled> last() {
    const std::lock_guard lock(mutex_);
    const auto* newest = plans_.newest();
    return newest ? *newest : nullptr;
  }

 private:
  std::mutex mutex_;
  LruCache<std::string, std::shared_ptr<const Compiled>> plans_{kMaxSizes};
};

// The values that are fed and fetched, as the options say.
struct Endpoints {
  std::vector<std::string> names;  // of the outputs
  std::vector<Value> fed, outputs, taps;

  Endpoints(const Graph& graph, const PlanOptions& options) {
    names = options.outputs.empty() ? find_outputs(graph) : options.outputs;
    if (names.empty()) throw Error("graph", "has no outputs", "name them with --outputs");
    for (const auto& [name, shape] : options.input_shapes) fed.push_back(graph.value(name));
    for (const std::string& name : names) outputs.push_back(graph.value(name));
    for (const std::string& name : options.taps) taps.push_back(graph.value(name));
    for (NodeId id : needed_nodes(graph, fed, kept()))
      if (graph.node(id).op == "Placeholder") fed.push_back({id, 0});
    std::sort(fed.begin(), fed.end());
  }
  // Values that must exist as they stand in the graph.
  std::vector<Value> kept() const {
    std::vector<Value> all = outputs;
    all.insert(all.end(), taps.begin(), taps.end());
    return all;
  }
};

class PartitionedPlan : public Plan {
 public:
  PartitionedPlan(const Graph& graph, const PlanOptions& options) : options_(options) {
    const Endpoints ends(graph, options);
    input_values = ends.fed;
    output_values = ends.outputs;
    tap_values_ = ends.taps;
    find_specs(graph, ends.names);
    check_taps(graph);
    for (Part& part : partition(graph, ends.fed, ends.kept())) parts.push_back({std::move(part), {}, {}, nullptr});
    caches_ = std::vector<SizeCache>(parts.size());
    assign_taps(graph);
    compile_known();
    for (Value v : output_values)
      if (const Tensor* t = graph.constant(v)) constants[v] = *t;
  }

  const std::vector<TensorSpec>& inputs() const override { return input_specs_; }
  const std::vector<TensorSpec>& outputs() const override { return output_specs_; }

  // A part whose sizes come from data shows the steps of the plan that was used last; before the first run one step says so.
  std::vector<StepInfo> steps() const override {
    std::vector<StepInfo> all;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (const auto plan = last_plan(i))
        for (StepInfo& info : plan->plan->steps()) all.push_back(std::move(info));
      else
        all.push_back(step_of(parts[i].part));
    }
    return all;
  }
  int64_t arena_bytes() const override {
    return sum([](const Plan& plan) { return plan.arena_bytes(); });
  }
  int64_t stream_bytes() const override {
    return sum([](const Plan& plan) { return plan.stream_bytes(); });
  }
  int plain_steps() const override {
    int64_t interpreted = 0;
    for (size_t i = 0; i < parts.size(); ++i)
      if (!last_plan(i) && is_always_interpreted(parts[i].part)) interpreted += parts[i].part.graph.size();
    return static_cast<int>(interpreted + sum([](const Plan& plan) { return plan.plain_steps(); }));
  }

  int threads() const { return std::max(1, options_.threads); }

  // The plan of a part for these inputs; null where it is interpreted.
  std::shared_ptr<const Compiled> compiled(size_t part, const std::vector<Tensor>& inputs) const {
    const PartPlan& p = parts[part];
    if (p.known) return p.known;
    if (is_always_interpreted(p.part)) return nullptr;
    return caches_[part].get(key_of(inputs), [&] { return compile_for(p, inputs); });
  }

  std::vector<PartPlan> parts;
  std::vector<Value> input_values, output_values;
  Values constants;  // outputs that the graph knows

 protected:
  std::unique_ptr<Stream> new_stream() const override;

 private:
  // The part has no plan, also where its sizes become known with the data.
  static bool is_always_interpreted(const Part& part) { return part.interpreted || !part.has_layers; }

  static StepInfo step_of(const Part& part) {
    StepInfo info;
    info.name = part.output_names.empty() ? "part" : part.output_names.back();
    info.op = std::to_string(part.graph.size()) + " nodes";
    info.kernel = is_always_interpreted(part) ? kInterpretedPart : kPartNotCompiled;
    info.reason = part.interpreted ? "it holds loops or conditions" : "its sizes are known only when it runs";
    return info;
  }

  std::shared_ptr<const Compiled> last_plan(size_t part) const {
    return parts[part].known ? parts[part].known : caches_[part].last();
  }

  template <class Figure>
  int64_t sum(Figure figure) const {
    int64_t total = 0;
    for (size_t i = 0; i < parts.size(); ++i)
      if (const auto plan = last_plan(i)) total += figure(*plan->plan);
    return total;
  }

  void find_specs(const Graph& graph, const std::vector<std::string>& outputs) {
    std::map<Value, Fact> known;
    for (const auto& [name, shape] : options_.input_shapes) {
      const Node& n = graph.node(graph.value(name).node);
      known[graph.value(name)] = {n.attr_or("dtype", n.attr_or("T", DType::f32)), shape, {}};
    }
    facts_.emplace(graph, known);
    const auto spec = [&](std::string name, Value v) {
      const Fact& f = facts_->of(v);
      return TensorSpec{std::move(name), f.dtype, f.shape.value_or(Shape{-1})};
    };
    for (Value v : input_values) input_specs_.push_back(spec(graph.name_of(v), v));
    for (size_t i = 0; i < outputs.size(); ++i) output_specs_.push_back(spec(outputs[i], output_values[i]));
  }

  void check_taps(const Graph& graph) const {
    const Frames frames(graph);
    for (Value v : tap_values_)
      if (frames.is_inside(v.node))
        throw Error("node " + graph.name_of(v), "lies in a loop or behind a condition, so that it may have many values or none");
  }

  // A tap is seen where its value is made; inputs and constants are seen by the stream.
  void assign_taps(const Graph& graph) {
    for (size_t i = 0; i < tap_values_.size(); ++i) {
      const Value v = tap_values_[i];
      bool found = false;
      for (PartPlan& p : parts) {
        const auto it = std::find(p.part.outputs.begin(), p.part.outputs.end(), v);
        if (it == p.part.outputs.end()) continue;
        p.taps.push_back(p.part.output_names[static_cast<size_t>(it - p.part.outputs.begin())]);
        p.tap_ids.push_back(static_cast<int>(i));
        found = true;
      }
      if (found) continue;
      if (const Tensor* t = graph.constant(v)) constants[v] = *t;
      free_taps.emplace_back(static_cast<int>(i), v);
    }
  }

  // Parts whose sizes do not depend on data; without layers only where the sizes of their results do not either.
  void compile_known() {
    const auto is_known = [&](Value v) {
      const Fact& f = facts_->of(v);
      return f.dtype != DType::invalid && f.has_static_shape();
    };
    for (PartPlan& p : parts) {
      if (p.part.interpreted || !std::all_of(p.part.inputs.begin(), p.part.inputs.end(), is_known)) continue;
      if (!p.part.has_layers && !std::all_of(p.part.outputs.begin(), p.part.outputs.end(), is_known)) continue;
      std::vector<const Fact*> facts;
      for (Value v : p.part.inputs) facts.push_back(&facts_->of(v));
      p.known = compile_part(p, facts, "");
    }
  }

  std::shared_ptr<const Compiled> compile_for(const PartPlan& p, const std::vector<Tensor>& inputs) const {
    std::vector<Fact> facts;
    for (const Tensor& t : inputs) facts.push_back({t.dtype(), t.shape(), is_small_integer(t) ? std::optional(t) : std::nullopt});
    std::vector<const Fact*> pointers;
    for (const Fact& f : facts) pointers.push_back(&f);
    return compile_part(p, pointers, key_of(inputs));
  }

  std::shared_ptr<const Compiled> compile_part(const PartPlan& p, const std::vector<const Fact*>& inputs, std::string key) const {
    auto compiled = std::make_shared<Compiled>();
    compiled->key = std::move(key);
    Graph graph = p.part.graph;
    PlanOptions options = options_;
    options.input_shapes.clear();
    options.outputs = p.part.output_names;
    options.taps = p.taps;
    options.quantized_inputs = false;
    std::vector<std::string> order;
    for (size_t i = 0; i < inputs.size(); ++i) {
      Node& n = graph.node(graph.require(p.part.input_names[i]));
      n.attrs.emplace("dtype", inputs[i]->dtype);
      if (inputs[i]->constant) {
        n.op = "Const";
        n.attrs.emplace("value", *inputs[i]->constant);
      } else {
        options.input_shapes[n.name] = *inputs[i]->shape;
      }
    }
    compiled->plan = compile_straight(graph, options);
    for (const TensorSpec& spec : compiled->plan->inputs()) {
      const auto it = std::find(p.part.input_names.begin(), p.part.input_names.end(), spec.name);
      compiled->inputs.push_back(static_cast<int>(it - p.part.input_names.begin()));
    }
    return compiled;
  }

  PlanOptions options_;
  std::optional<Facts> facts_;
  std::vector<Value> tap_values_;
  std::vector<TensorSpec> input_specs_, output_specs_;
  mutable std::vector<SizeCache> caches_;  // by part

 public:
  std::vector<std::pair<int, Value>> free_taps;  // of inputs and constants
};

class PartitionedStream : public Plan::Stream {
 public:
  explicit PartitionedStream(const PartitionedPlan& plan)
      : plan_(plan), runners_(plan.parts.size()), node_kernels_(plan.threads()), interpreters_(plan.parts.size()) {
    for (size_t i = 0; i < plan.input_values.size(); ++i) {
      const TensorSpec& spec = plan.inputs()[i];
      inputs_.push_back(is_static(spec.shape) && spec.dtype != DType::invalid ? Tensor(spec.dtype, spec.shape) : Tensor());
    }
  }

  Tensor& input(int i) override { return inputs_.at(static_cast<size_t>(i)); }
  const Tensor& output(int i) const override { return values_.at(plan_.output_values.at(static_cast<size_t>(i))); }

  void run(const Plan::Tap& tap) override {
    begin();
    for (const auto& [index, v] : plan_.free_taps)
      if (tap) tap(index, values_.at(v));
    for (size_t p = 0; p < plan_.parts.size(); ++p) run_part(p, tap, nullptr);
  }

  // Steps of compiled parts one by one, interpreted parts as one step each.
  void run_timed(std::vector<double>& ms) override {
    begin();
    std::vector<double> all;
    for (size_t p = 0; p < plan_.parts.size(); ++p) {
      std::vector<double> own;
      Stopwatch watch;
      if (!run_part(p, {}, &own)) own = {watch.ms()};
      all.insert(all.end(), own.begin(), own.end());
    }
    ms.resize(all.size(), 0);
    for (size_t i = 0; i < all.size(); ++i) ms[i] += all[i];
  }

 private:
  void begin() {
    values_ = plan_.constants;
    for (size_t i = 0; i < inputs_.size(); ++i) values_[plan_.input_values[i]] = inputs_[i];
  }

  // False where it was interpreted: as a whole, without times of steps.
  bool run_part(size_t index, const Plan::Tap& tap, std::vector<double>* ms) {
    const PartPlan& p = plan_.parts[index];
    std::vector<Tensor> inputs;
    for (Value v : p.part.inputs) inputs.push_back(values_.at(v));
    const auto compiled = plan_.compiled(index, inputs);
    if (compiled)
      run_compiled(index, compiled, inputs, tap, ms);
    else
      interpret_part(index, inputs, tap);
    return compiled != nullptr;
  }

  void run_compiled(size_t index, const std::shared_ptr<const Compiled>& compiled, const std::vector<Tensor>& inputs,
                    const Plan::Tap& tap, std::vector<double>* ms) {
    const PartPlan& p = plan_.parts[index];
    std::optional<Runner>& runner = runners_[index];
    if (!runner || &runner->plan() != compiled->plan.get()) runner.emplace(compiled->plan);
    for (size_t i = 0; i < compiled->inputs.size(); ++i)
      runner->set_input(static_cast<int>(i), inputs[static_cast<size_t>(compiled->inputs[i])]);
    if (ms)
      runner->run_timed(*ms);
    else if (tap)
      runner->run([&](int i, const Tensor& t) { tap(p.tap_ids[static_cast<size_t>(i)], t); });
    else
      runner->run();
    for (size_t i = 0; i < p.part.outputs.size(); ++i) values_[p.part.outputs[i]] = runner->output(static_cast<int>(i));
  }

  Interpreter& interpreter_of(size_t index) {
    if (interpreters_[index]) return *interpreters_[index];
    const Part& part = plan_.parts[index].part;
    std::vector<Value> fed, fetches;
    for (const std::string& name : part.input_names) fed.push_back(part.graph.value(name));
    for (const std::string& name : part.output_names) fetches.push_back(part.graph.value(name));
    return interpreters_[index].emplace(part.graph, fed, fetches,
                                        [&](const Node& node) { return node_kernels_.evaluator_of(node); });
  }

  void interpret_part(size_t index, const std::vector<Tensor>& inputs, const Plan::Tap& tap) {
    const PartPlan& p = plan_.parts[index];
    const std::vector<Tensor> results = interpreter_of(index).run(inputs);
    for (size_t i = 0; i < results.size(); ++i) values_[p.part.outputs[i]] = results[i];
    for (size_t t = 0; tap && t < p.taps.size(); ++t) {
      const auto it = std::find(p.part.output_names.begin(), p.part.output_names.end(), p.taps[t]);
      tap(p.tap_ids[t], results[static_cast<size_t>(it - p.part.output_names.begin())]);
    }
  }

  const PartitionedPlan& plan_;
  std::vector<Tensor> inputs_;
  std::vector<std::optional<Runner>> runners_;  // by part, of the sizes that ran last
  NodeKernels node_kernels_;
  std::vector<std::optional<Interpreter>> interpreters_;  // by part
  Values values_;
};

std::unique_ptr<Plan::Stream> PartitionedPlan::new_stream() const { return std::make_unique<PartitionedStream>(*this); }

}  // namespace

bool needs_partition(const Graph& graph, const PlanOptions& options) {
  const Endpoints ends(graph, options);
  return has_control_flow(graph, needed_nodes(graph, ends.fed, ends.kept()));
}

std::vector<std::string> network_outputs(const Graph& graph, const PlanOptions& options) {
  const Endpoints ends(graph, options);
  if (!needs_partition(graph, options)) return ends.names;
  const Facts facts(graph);
  std::vector<std::string> names;
  for (const Part& part : partition(graph, ends.fed, ends.outputs))
    for (Value v : part.outputs)
      if (part.has_layers && facts.of(v).dtype == DType::f32) names.push_back(graph.name_of(v));
  return names.empty() ? ends.names : names;
}

std::shared_ptr<const Plan> compile_partitioned(const Graph& graph, const PlanOptions& options) {
  return std::make_shared<PartitionedPlan>(graph, options);
}

}  // namespace cytodet::exec
