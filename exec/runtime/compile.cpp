#include "exec/runtime/compile.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "core/error.h"
#include "exec/lower/lowering.h"
#include "exec/lower/plain_reason.h"
#include "exec/runtime/compiled_plan.h"
#include "exec/runtime/memory.h"
#include "exec/runtime/node_kernels.h"
#include "exec/steps/packed_conv.h"
#include "graph/passes/pass.h"

namespace cytodet::exec {
namespace {

// One node by its plain eval; its outputs are new tensors each run.
class PlainStep : public Step {
 public:
  // shapes_unknown: until it runs; it may have a kernel then.
  PlainStep(const Node& node, std::vector<int> in, std::vector<int> out, bool shapes_unknown)
      : node_(node), shapes_unknown_(shapes_unknown) {
    inputs = std::move(in);
    outputs = std::move(out);
    info.kernel = "plain";
  }
  void run(RunContext& context) const override {
    std::vector<Tensor> in;
    for (int id : inputs) in.push_back(context.tensors[static_cast<size_t>(id)]);
    std::vector<Tensor> out =
        shapes_unknown_ && context.node_kernels ? context.node_kernels->evaluate(node_, in) : graph::evaluate(node_, in);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] < 0) continue;
      if (i >= out.size()) throw Error(graph::node_text(node_), "gives only " + std::to_string(out.size()) + " outputs");
      // What an op passes through lies in the arena, whose bytes others take over after the input's last reader.
      const bool passed = std::any_of(in.begin(), in.end(), [&](const Tensor& t) { return t.raw() == out[i].raw(); });
      context.tensors[static_cast<size_t>(outputs[i])] = passed ? out[i].clone() : out[i];
    }
  }

 private:
  Node node_;
  bool shapes_unknown_;
};

class Compiler {
 public:
  Compiler(const Graph& graph, const PlanOptions& options) : graph_(graph), options_(options) {}

  std::shared_ptr<const Plan> run() {
    std::vector<std::string> outputs = options_.outputs.empty() ? find_outputs(graph_) : options_.outputs;
    if (outputs.empty()) throw Error("graph", "has no outputs", "name them with --outputs");
    std::vector<Value> wanted;
    for (const std::string& name : outputs) wanted.push_back(graph_.value(name));
    std::vector<Value> kept = wanted;  // exist as they stand in the graph
    for (const std::string& name : options_.taps) kept.push_back(graph_.value(name));
    std::map<Value, Fact> known = input_facts();
    Lowering low(graph_, known, kept);
    low_ = &low;
    if (options_.fuse) {
      for (const KernelEntry& entry : kernel_entries())
        for (NodeId id : low.order) {
          const Node& node = low.graph.node(id);
          if (!low.taken(id) && node.op != "Placeholder") with_node_named(node, [&] { entry.match(low, id); });
        }
      for (const FusionEntry& entry : fusion_entries()) entry.run(low);
      low.release();
      if (options_.precision == Precision::bf16) use_bf16(low);
      assign_storage(low, options_.quantized_inputs);
    }
    plan_ = std::make_shared<CompiledPlan>();
    plan_->threads = std::max(1, options_.threads);
    schedule();
    for (size_t i = 0; i < wanted.size(); ++i) {
      plan_->output_ids.push_back(id_of(wanted[i]));
      const Fact& f = low.facts.of(wanted[i]);
      plan_->output_specs.push_back({outputs[i], f.dtype, f.shape.value_or(Shape{})});
    }
    for (size_t i = wanted.size(); i < kept.size(); ++i) plan_->tap_ids.push_back(id_of(kept[i]));
    place();
    return plan_;
  }

 private:
  std::map<Value, Fact> input_facts() {
    std::map<Value, Fact> known;
    for (const auto& [name, shape] : options_.input_shapes) {
      Value v = graph_.value(name);
      const Node& n = graph_.node(v.node);
      DType dtype = n.attr_or("dtype", n.attr_or("T", DType::f32));
      known[v] = Fact{dtype, shape, {}};
    }
    return known;
  }

  static void use_bf16(Lowering& low) {
    if (!has_precision(Precision::bf16))
      throw Error("precision bf16", std::string("is not what this CPU's kernels (") + kernels().name + ") compute",
                  "leave it out: layers in float stay in float");
    low.bf16 = true;
    for (Layer& layer : low.layers) {
      auto* conv = layer.as<ConvChain>();
      if (!conv) continue;
      for (auto* dense : {&conv->dense, &conv->pointwise})
        if (*dense) (*dense)->bf16 = !(*dense)->quant && !(*dense)->shape.is_volume();
      if (conv->depthwise) conv->depthwise->bf16 = !conv->depthwise->quant;
    }
  }

  int id_of(Value v) {
    auto [it, fresh] = ids_.try_emplace(v, static_cast<int>(plan_->places.size()));
    if (fresh) {
      Place p;
      const Fact& f = low_->facts.of(v);
      p.dtype = f.dtype;
      p.shape = f.shape.value_or(Shape{-1});
      require_memory(v, p);
      if (const Tensor* t = low_->constant(v)) {
        p.kind = Place::constant;
        p.value = *t;
      }
      plan_->places.push_back(std::move(p));
      plan_->fp16_scales.push_back(1);
    }
    return it->second;
  }

  // Sums of bytes do not overflow after this.
  void require_memory(Value v, const Place& p) const {
    const int64_t max_elements = max_tensor_bytes() / std::max<int64_t>(1, static_cast<int64_t>(size_of(p.dtype)));
    if (is_static(p.shape) && elements(p.shape) > max_elements)
      throw Error("value " + graph_.name_of(v),
                  "is " + to_string(p.shape) + ", more than the " + std::to_string(max_tensor_bytes() >> 20) + " MiB of a tensor",
                  "use a smaller input or batch");
  }

  // Layers and plain nodes, each once its inputs exist, in the order of the graph.
  void schedule() {
    std::map<NodeId, size_t> layer_of;  // by root
    for (size_t i = 0; i < low_->layers.size(); ++i) layer_of[low_->layers[i].root] = i;
    std::map<Value, size_t> writer;
    for (size_t i = 0; i < low_->layers.size(); ++i)
      for (Value v : low_->layers[i].writes()) writer[v] = i;
    std::vector<char> layer_done(low_->layers.size(), 0);
    std::set<NodeId> node_done;
    // Depth first over values, so that a layer runs as late as its place in the graph asks, but after its inputs.
    std::function<void(Value)> produce = [&](Value v) {
      if (low_->constant(v)) return;
      if (auto it = writer.find(v); it != writer.end()) {
        if (layer_done[it->second]) return;
        layer_done[it->second] = 1;
        const Layer& layer = low_->layers[it->second];
        for (Value read : layer.reads()) produce(read);
        add_layer(layer);
        return;
      }
      if (!node_done.insert(v.node).second) return;
      const Node& n = graph_.node(v.node);
      if (n.op == "Placeholder" || options_.input_shapes.contains(graph_.name_of({v.node, 0}))) {
        add_input(v.node);
        return;
      }
      for (Value in : n.inputs) produce(in);
      add_plain(v.node);
    };
    for (NodeId id : low_->order) {
      if (auto it = layer_of.find(id); it != layer_of.end())
        produce(low_->layers[it->second].output);
      else if (!low_->taken(id))
        produce({id, 0});
    }
  }

  void add_input(NodeId id) {
    Value v{id, 0};
    int tensor = id_of(v);
    Place& p = plan_->places[static_cast<size_t>(tensor)];
    p.kind = Place::input;
    TensorSpec spec{graph_.node(id).name, p.dtype, p.shape};
    if (const auto quant = low_->quantized_inputs.find(v); quant != low_->quantized_inputs.end()) {
      const PackedQuantizeParams table(quant->second.quant, quant->second.factors, p.shape.back(), 1);
      const float* scales = table.inverse_scales.data();
      spec.quant = {{scales, scales + p.shape.back()}, table.qmin, table.qmax};
      spec.dtype = p.dtype = DType::u8;
    }
    plan_->input_ids.push_back(tensor);
    plan_->input_specs.push_back(std::move(spec));
  }

  void add_plain(NodeId id) {
    const Node& n = graph_.node(id);
    if (!find_op(n.op)) evaluate(n, {});  // throws the error that names the op
    std::vector<int> in, out;
    for (Value v : n.inputs) in.push_back(id_of(v));
    int slots = 1;
    for (Consumers::Use use : low_->uses.of(id))
      for (Value v : graph_.node(use.node).inputs)
        if (v.node == id) slots = std::max(slots, v.slot + 1);
    for (Value v : low_->wanted)
      if (v.node == id) slots = std::max(slots, v.slot + 1);
    for (int s = 0; s < slots; ++s) {
      bool used = low_->is_wanted({id, s}) || !low_->uses.of(Value{id, s}).empty();
      out.push_back(used ? id_of({id, s}) : -1);
      if (used) plan_->places[static_cast<size_t>(out.back())].kind = Place::dynamic;
    }
    const auto unknown = [&](Value v) { return !low_->facts.of(v).has_static_shape(); };
    const bool shapes_unknown = unknown({id, 0}) || std::any_of(n.inputs.begin(), n.inputs.end(), unknown);
    auto step = std::make_unique<PlainStep>(n, in, out, options_.fuse && shapes_unknown);
    step->info.reason = options_.fuse ? plain_reason(*low_, id) : "kernels are switched off";
    ++plan_->plain;
    finish(std::move(step), id);
  }

  void add_layer(const Layer& layer) {
    const StepOutput output{id_of(layer.output), layer.storage_quant, layer.float_storage};
    if (output.storage() != StorageType::f32) place_of(output.tensor).dtype = type_of(output.storage());
    plan_->fp16_scales[static_cast<size_t>(output.tensor)] = layer.fp16_scale;
    for (Value v : layer.writes()) {
      Place& place = place_of(id_of(v));
      place.kind = is_static(place.shape) ? Place::arena : Place::dynamic;  // a dynamic one is allocated by its step
    }
    std::unique_ptr<Step> step = std::visit([&](const auto& kind) { return make_step(layer, kind, output); }, layer.kind);
    if (layer.movement != DataMovement::none && layer.storage_quant) step->info.kernel = "int8_" + step->info.kernel;
    finish(std::move(step), layer.root);
  }

  Place& place_of(int tensor) { return plan_->places[static_cast<size_t>(tensor)]; }
  int optional_id(Value v) { return v == kNoValue ? -1 : id_of(v); }
  StepInput input_of(const Layer& layer, Value v) {
    const int id = id_of(v);
    const auto quant = layer.fake_quant.find(v);
    return {id, storage_of(place_of(id).dtype), quant == layer.fake_quant.end() ? std::optional<QuantParams>() : quant->second};
  }
  std::vector<SumTerm> sum_terms(const Layer& layer, const std::vector<Term>& terms) {
    std::vector<SumTerm> all;
    for (const Term& t : terms) all.push_back({input_of(layer, t.value), t.weight, t.repeat});
    return all;
  }

  std::unique_ptr<Step> make_step(const Layer& layer, const Opaque& kind, const StepOutput& output) {
    LayerIo io = io_of(layer, kind.inputs, output);
    io.second = optional_id(kind.second);
    return kind.make(io);
  }
  std::unique_ptr<Step> make_step(const Layer& layer, const RowOp& kind, const StepOutput& output) {
    return kind.make(io_of(layer, kind.inputs, output));
  }
  LayerIo io_of(const Layer& layer, const std::vector<Value>& inputs, const StepOutput& output) {
    LayerIo io{{}, output};
    for (Value v : inputs) io.inputs.push_back(input_of(layer, v));
    return io;
  }
  std::unique_ptr<Step> make_step(const Layer& layer, const WeightedSum& sum, const StepOutput& output) {
    return make_weighted_sum(place_of(output.tensor).shape, sum_terms(layer, sum.terms), sum.act, output);
  }
  std::unique_ptr<Step> make_step(const Layer& layer, const ConvChain& conv, const StepOutput& output) {
    std::unique_ptr<Step> step = make_conv(layer, conv, output);
    if (conv.dense) count_conv(step->info, *conv.dense, conv.dense->shape.in_c, conv.dense->bf16);
    if (conv.depthwise) count_conv(step->info, *conv.depthwise, 1, false);
    if (conv.pointwise) count_conv(step->info, *conv.pointwise, conv.pointwise->shape.in_c, conv.pointwise->bf16);
    return step;
  }
  std::unique_ptr<Step> make_conv(const Layer& layer, const ConvChain& conv, const StepOutput& output) {
    ConvIo io{optional_id(conv.input), output, optional_id(conv.gate)};
    if (conv.residual != kNoValue) io.residual = input_of(layer, conv.residual);
    io.residual_first = conv.residual_first;
    io.pooled = optional_id(conv.pooled);
    if (!conv.depthwise) return make_dense_conv(*conv.dense, io);
    if (conv.dense) return make_expand_depthwise(*conv.dense, *conv.depthwise, io);
    DepthwiseChain chain{sum_terms(layer, conv.terms), conv.terms_act, *conv.depthwise, nullptr};
    if (conv.pointwise) chain.pointwise = std::make_unique<DenseConv>(*conv.pointwise);
    return make_depthwise_chain(chain, io);
  }

  // inputs: channels that one output reads.
  template <class Conv>
  static void count_conv(StepInfo& info, const Conv& conv, int64_t inputs, bool bf16) {
    const ConvShape& s = conv.shape;
    info.bytes += conv.weights.size() * (conv.quant ? 1 : bf16 ? 2 : 4) + static_cast<int64_t>(conv.bias.size()) * 4;
    const int64_t macs = s.out_planes() * s.out_h * s.out_w * s.out_c * s.taps() * inputs;
    if (conv.quant) info.int8_macs += macs;
    if (bf16) info.bf16_macs += macs;
  }

  void finish(std::unique_ptr<Step> step, NodeId root) {
    step->info.name = graph_.node(root).name;
    step->info.op = graph_.node(root).op;
    for (const auto* ids : {&step->inputs, &step->outputs})
      for (int id : *ids)
        if (id >= 0 && is_static(plan_->places[static_cast<size_t>(id)].shape))
          step->info.bytes += elements(plan_->places[static_cast<size_t>(id)].shape) *
                              static_cast<int64_t>(size_of(plan_->places[static_cast<size_t>(id)].dtype));
    if (!step->outputs.empty() && step->outputs[0] >= 0)
      step->info.shape = plan_->places[static_cast<size_t>(step->outputs[0])].shape;
    const auto open = [&](int id) { return id >= 0 && !is_static(plan_->places[static_cast<size_t>(id)].shape); };
    const bool has_open_output = std::any_of(step->outputs.begin(), step->outputs.end(), open);  // of any number of rows
    step->small = step->info.macs < kSmallMacs && step->info.bytes < kSmallBytes && !has_open_output;
    plan_->scratch_size = std::max(plan_->scratch_size, step->scratch_bytes * plan_->threads);
    plan_->list.push_back(std::move(step));
  }

  // The tensor whose memory each one has: what an alias gives out lies where its input lies, for as long as either is read.
  std::vector<size_t> owners(std::vector<Lifetime>& lives) const {
    std::vector<size_t> owner(lives.size());
    for (size_t i = 0; i < owner.size(); ++i) owner[i] = i;
    for (const auto& step : plan_->list) {
      if (step->info.kernel != "alias" && step->info.kernel != "int8_alias") continue;
      const auto from = static_cast<size_t>(step->inputs[0]), to = static_cast<size_t>(step->outputs[0]);
      if (plan_->places[from].kind != Place::arena || plan_->places[to].kind != Place::arena) continue;
      Lifetime &whole = lives[owner[from]], &part = lives[to];
      if (whole.bytes != part.bytes) continue;
      owner[to] = owner[from];
      whole.first = std::min(whole.first, part.first);
      whole.last = std::max(whole.last, part.last);
    }
    return owner;
  }

  void place() {
    int steps = static_cast<int>(plan_->list.size());
    std::vector<Lifetime> lives(plan_->places.size());
    for (size_t i = 0; i < lives.size(); ++i) {
      const Place& p = plan_->places[i];
      if (p.kind == Place::arena) lives[i] = {elements(p.shape) * static_cast<int64_t>(size_of(p.dtype)), steps, -1};
    }
    for (int s = 0; s < steps; ++s)
      for (const auto* ids : {&plan_->list[static_cast<size_t>(s)]->inputs, &plan_->list[static_cast<size_t>(s)]->outputs})
        for (int id : *ids)
          if (id >= 0) {
            lives[static_cast<size_t>(id)].first = std::min(lives[static_cast<size_t>(id)].first, s);
            lives[static_cast<size_t>(id)].last = std::max(lives[static_cast<size_t>(id)].last, s);
          }
    for (int id : plan_->output_ids) lives[static_cast<size_t>(id)].last = steps;
    const std::vector<size_t> owner = owners(lives);
    std::vector<Lifetime> arena;
    std::vector<size_t> which(lives.size());
    for (size_t i = 0; i < lives.size(); ++i)
      if (plan_->places[i].kind == Place::arena && owner[i] == i) {
        which[i] = arena.size();
        arena.push_back(lives[i]);
      }
    const std::vector<int64_t> offsets = plan_arena(arena, plan_->arena_size);
    for (size_t i = 0; i < lives.size(); ++i)
      if (plan_->places[i].kind == Place::arena) plan_->places[i].offset = offsets[which[owner[i]]];
    if (plan_->arena_size > max_tensor_bytes() * 2)
      throw Error("graph", "needs an arena of " + std::to_string(plan_->arena_size >> 20) + " MiB",
                  "use a smaller input or batch");
  }

  static constexpr int64_t kSmallMacs = 100'000, kSmallBytes = 64 * 1024;  // some microseconds

  const Graph& graph_;
  const PlanOptions& options_;
  Lowering* low_ = nullptr;
  std::shared_ptr<CompiledPlan> plan_;
  std::map<Value, int> ids_;
};

}  // namespace

std::shared_ptr<const Plan> compile_straight(const Graph& graph, const PlanOptions& options) {
  return Compiler(graph, options).run();
}

}  // namespace cytodet::exec
