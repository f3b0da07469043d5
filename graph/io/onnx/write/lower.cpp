#include "graph/io/onnx/write/lower.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "graph/ir/conv_node.h"
#include "graph/layout/move_transposes.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph::onnx {
namespace {

// One node of the source with its inputs in the new graph.
struct Lowering {
  const Graph& from;
  const Facts& facts;
  const Consumers& uses;
  Builder& b;
  NodeId id;
  const Node& node;
  std::vector<Value> in;

  const Fact& input_fact(size_t i) const { return facts.of(node.inputs[i]); }
  Shape input_dims(size_t i) const {
    const Fact& f = input_fact(i);
    if (!f.shape)
      throw Error("", "the shape of its input " + std::to_string(i) + " is not known", "state the sizes of the inputs: --input");
    return *f.shape;
  }
  const Tensor* constant(size_t i) const { return input_fact(i).constant ? &*input_fact(i).constant : nullptr; }
  bool first() const { return data_format(node).substr(1, 1) == "C"; }
};

AttrList list_of(std::vector<int64_t> values) {
  AttrList list;
  list.ints = std::move(values);
  return list;
}

// The map as ONNX reads it, and what ONNX gives as the graph's node does.
Value map_in(const Lowering& l, Value x) { return l.first() ? x : l.b.from_last(x); }
Value map_out(const Lowering& l, const std::string& op, std::vector<Value> inputs, AttrMap attrs) {
  const Fact& f = l.facts.of({l.id, 0});
  std::optional<Shape> shape = f.shape;
  const bool first = l.first();
  if (!shape) throw Error("", "the shape of its result is not known", "state the sizes of the inputs: --input");
  if (!first) shape = transposed_shape(*shape, Builder::first_perm(static_cast<int64_t>(shape->size())));
  const Value y = l.b.add_onnx(l.node.name, op, std::move(inputs), std::move(attrs), f.dtype, shape);
  return first ? y : l.b.to_last(y);
}

std::vector<int64_t> spatial_list(const Lowering& l, const char* name) {
  const AttrList list = l.node.attr_or(name, AttrList{});
  if (list.ints.size() < 4) return {1, 1};
  const size_t at = l.first() ? 2 : 1;
  return {list.ints.begin() + static_cast<long>(at), list.ints.end() - (l.first() ? 0 : 1)};
}

// pads of ONNX: before every spatial dimension, then after. SAME of a size that is not known is ONNX's own SAME_UPPER.
void add_pads(const Lowering& l, AttrMap& attrs, const Shape& map, const std::vector<int64_t>& kernel,
              const std::vector<int64_t>& strides, const std::vector<int64_t>& dilations) {
  const std::string padding = l.node.attr<std::string>("padding");
  const size_t n = kernel.size(), at = l.first() ? 2 : 1;
  std::vector<int64_t> pads(2 * n, 0);
  if (padding == "SAME") {
    for (size_t i = 0; i < n; ++i) {
      const int64_t in = map[at + i];
      if (in < 0) return void(attrs.emplace("auto_pad", "SAME_UPPER"));
      const int64_t total =
          std::max<int64_t>(0, ((in + strides[i] - 1) / strides[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - in);
      pads[i] = total / 2;
      pads[n + i] = total - total / 2;
    }
  } else if (padding == "EXPLICIT") {
    const AttrList list = l.node.attr_or("explicit_paddings", AttrList{});
    if (list.ints.size() < 2 * (n + 2)) throw Error("", "lacks its explicit_paddings");
    for (size_t i = 0; i < n; ++i) {
      pads[i] = list.ints[2 * (at + i)];
      pads[n + i] = list.ints[2 * (at + i) + 1];
    }
  }
  attrs.emplace("pads", list_of(pads));
}

// [h, w, i, o] or, depthwise, [h, w, channels, multiplier] as [o, i / group, h, w].
Value filter_in(const Lowering& l, const Shape& f, bool depthwise) {
  Value w = l.in[1];
  if (depthwise) {
    const Node& n = l.b.graph.node(w.node);
    const Shape flat = {f[0], f[1], 1, f[2] * f[3]};
    // Quantized values of depthwise filters are stored flat (graph/quantized/quant_nodes.h).
    if (n.op == "Reshape" && l.b.graph.node(n.inputs[0].node).op == "Dequantize" && l.b.dims(n.inputs[0]) == flat)
      w = n.inputs[0];
    else
      w = l.b.reshape(w, flat);
  }
  return l.b.transpose(w, {3, 2, 0, 1});
}

Value lower_conv(Lowering& l) {
  const bool depthwise = l.node.op == "DepthwiseConv2dNative";
  const Shape x = l.input_dims(0), f = l.input_dims(1);
  if (x.size() != 4 || f.size() != 4 || !is_static(f))
    throw Error("", "is no convolution of a plane with a filter of known size");
  const int64_t channels = x[l.first() ? 1 : 3];
  if (channels <= 0) throw Error("", "the number of its channels is not known");
  const std::vector<int64_t> kernel = {f[0], f[1]}, strides = spatial_list(l, "strides"),
                             dilations = spatial_list(l, "dilations");
  AttrMap attrs{{"kernel_shape", list_of(kernel)}, {"strides", list_of(strides)}, {"dilations", list_of(dilations)}};
  attrs.emplace("group", depthwise ? channels : channels / f[2]);
  add_pads(l, attrs, x, kernel, strides, dilations);
  return map_out(l, "Conv", {map_in(l, l.in[0]), filter_in(l, f, depthwise)}, std::move(attrs));
}

// A bias of a convolution that nobody else reads is an input of it.
Value lower_bias(Lowering& l) {
  Builder& b = l.b;
  const bool first = l.node.op == "BiasAdd" && l.first() && l.input_dims(0).size() > 2;
  Value x = l.in[0];
  const NodeId source = l.node.inputs[0].node;
  const bool alone = l.uses.sole(source);
  const Node* made = &b.graph.node(x.node);
  if (made->op == "Transpose") made = &b.graph.node(made->inputs[0].node);
  if (alone && (made->op == "onnx:Conv" || made->op == "onnx:ConvTranspose") && made->inputs.size() == 2) {
    const NodeId conv = b.graph.find(made->name);
    b.graph.node(conv).inputs.push_back(l.in[1]);
    return x;
  }
  if (!first) return b.add_as(l.node.name, "AddV2", {x, l.in[1]}, {});
  const int64_t rank = static_cast<int64_t>(l.input_dims(0).size());
  std::vector<int64_t> axes;
  for (int64_t d = 1; d < rank - 1; ++d) axes.push_back(d);
  return b.add_as(l.node.name, "AddV2", {x, b.expand_dims(l.in[1], axes)}, {});
}

Value lower_batch_norm(Lowering& l) {
  if (l.node.attr_or("is_training", true)) throw Error("", "is in training mode", "optimize the graph first");
  const float epsilon = l.node.attr_or("epsilon", 1e-4f);
  return map_out(l, "BatchNormalization", {map_in(l, l.in[0]), l.in[1], l.in[2], l.in[3], l.in[4]}, {{"epsilon", epsilon}});
}

Value lower_pool(Lowering& l) {
  const bool average = l.node.op == "AvgPool";
  const AttrList window = l.node.attr_or("ksize", AttrList{});
  if (window.ints.size() == 4 && (window.ints[0] != 1 || window.ints[l.first() ? 1 : 3] != 1))
    throw Error("", "pools over channels", "ONNX has no such pool");
  const std::vector<int64_t> kernel = spatial_list(l, "ksize"), strides = spatial_list(l, "strides");
  AttrMap attrs{{"kernel_shape", list_of(kernel)}, {"strides", list_of(strides)}};
  if (average) attrs.emplace("count_include_pad", int64_t{0});
  add_pads(l, attrs, l.input_dims(0), kernel, strides, {1, 1});
  return map_out(l, average ? "AveragePool" : "MaxPool", {map_in(l, l.in[0])}, std::move(attrs));
}

Value lower_deconv(Lowering& l) {
  const Shape g = l.input_dims(2), f = l.input_dims(1);
  const Fact& out = l.facts.of({l.id, 0});
  if (f.size() != 4 || g.size() != 4 || !out.shape || !is_static(f))
    throw Error("", "its sizes are not known", "state the sizes of the inputs: --input");
  const size_t at = l.first() ? 2 : 1;
  const std::vector<int64_t> kernel = {f[0], f[1]}, strides = spatial_list(l, "strides"),
                             dilations = spatial_list(l, "dilations");
  AttrMap forward;
  add_pads(l, forward, *out.shape, kernel, strides, dilations);
  if (!forward["pads"].get<AttrList>())
    throw Error("", "pads by sizes that are not known", "state the sizes of the inputs: --input");
  const std::vector<int64_t> pads = forward["pads"].get<AttrList>()->ints;
  std::vector<int64_t> more(2, 0);
  for (size_t i = 0; i < 2; ++i) {
    const int64_t in = g[at + i], wanted = (*out.shape)[at + i];
    if (in >= 0 && wanted >= 0)
      more[i] = wanted - (strides[i] * (in - 1) + (kernel[i] - 1) * dilations[i] + 1 - pads[i] - pads[2 + i]);
    if (more[i] < 0 || more[i] >= strides[i]) throw Error("", "gives a size that ONNX's ConvTranspose does not");
  }
  AttrMap attrs{{"kernel_shape", list_of(kernel)},
                {"strides", list_of(strides)},
                {"dilations", list_of(dilations)},
                {"pads", list_of(pads)},
                {"output_padding", list_of(more)}};
  return map_out(l, "ConvTranspose", {map_in(l, l.in[2]), l.b.transpose(l.in[1], {3, 2, 0, 1})}, std::move(attrs));
}

// Sizes that are wanted as an input; ONNX's names for TensorFlow's ways to place pixels.
Value lower_resize(Lowering& l) {
  const Fact& out = l.facts.of({l.id, 0});
  const Shape in = l.input_dims(0);
  if (!out.shape || (*out.shape)[1] < 0 || (*out.shape)[2] < 0 || in[3] < 0)
    throw Error("", "resizes to a size that is not known", "state the sizes of the inputs: --input");
  const bool nearest = l.node.op == "ResizeNearestNeighbor", corners = l.node.attr_or("align_corners", false),
             half = l.node.attr_or("half_pixel_centers", false);
  AttrMap attrs{{"mode", nearest ? "nearest" : "linear"}};
  attrs.emplace("coordinate_transformation_mode", corners ? "align_corners" : half ? "half_pixel" : "asymmetric");
  // TensorFlow takes the pixel floor((i + 0.5) * scale) of half_pixel_centers, which is ONNX's i rounded up from the middle.
  if (nearest) attrs.emplace("nearest_mode", corners || half ? "round_prefer_ceil" : "floor");
  Value x = map_in(l, l.in[0]);
  if (!nearest) x = l.b.cast(x, DType::f32);
  const Shape sizes = {in[0], in[3], (*out.shape)[1], (*out.shape)[2]};
  if (in[0] >= 0) return map_out(l, "Resize", {x, l.b.ints(sizes)}, std::move(attrs));
  std::vector<float> scales = {1, 1};
  for (size_t d = 1; d < 3; ++d) {  // rounded down, their products with the sizes must be what is wanted
    if (in[d] < 0) throw Error("", "resizes a map whose size is not known", "state the sizes of the inputs: --input");
    float s = static_cast<float>((*out.shape)[d]) / static_cast<float>(in[d]);
    while (std::floor(static_cast<double>(s) * static_cast<double>(in[d])) < static_cast<double>((*out.shape)[d]))
      s = std::nextafter(s, 1e30f);
    scales.push_back(s);
  }
  return map_out(l, "Resize", {x, l.b.constant(Tensor::from<float>({4}, scales))}, std::move(attrs));
}

Value lower_blocks(Lowering& l) {
  AttrMap attrs{{"blocksize", l.node.attr<int64_t>("block_size")}};
  if (l.node.op == "DepthToSpace") attrs.emplace("mode", "DCR");
  return map_out(l, l.node.op, {map_in(l, l.in[0])}, std::move(attrs));
}

Value lower_lrn(Lowering& l) {
  const int64_t size = 2 * l.node.attr_or("depth_radius", int64_t{5}) + 1;
  const float alpha = l.node.attr_or("alpha", 1.0f) * static_cast<float>(size);
  return map_out(
      l, "LRN", {map_in(l, l.in[0])},
      {{"size", size}, {"alpha", alpha}, {"beta", l.node.attr_or("beta", 0.5f)}, {"bias", l.node.attr_or("bias", 1.0f)}});
}

// QuantizeV2 -> Dequantize with one constant range.
Value lower_grid(Lowering& l) {
  const auto grid = fake_quant_value(l.from, {l.id, 0});
  Builder& b = l.b;
  if (!grid) {
    if (b.graph.constant(l.in[0])) return b.add_as(l.node.name, l.node.op, l.in, l.node.attrs);  // weights
    throw Error("", "reads quantized values whose range is no constant", "such quantized layers are not written as ONNX");
  }
  const Value x = b.graph.node(l.in[0].node).inputs[0];  // of QuantizeV2
  const DType type = grid->quant.is_signed ? DType::i8 : DType::u8;
  const Value scale = b.constant(Tensor::scalar(grid->quant.scale));
  const Value zero = b.number(grid->quant.zero_point, type);
  const std::optional<Shape> shape = b.fact(x).shape;
  const Value q = b.add_onnx(l.node.name + "/codes", "QuantizeLinear", {x, scale, zero}, {}, type, shape);
  return b.add_onnx(l.node.name, "DequantizeLinear", {q, scale, zero}, {}, DType::f32, shape);
}

struct LoweringEntry {
  const char* op;
  Value (*lower)(Lowering&);
};
constexpr LoweringEntry kLowerings[] = {
    {"AvgPool", lower_pool},
    {"BiasAdd", lower_bias},
    {"Conv2D", lower_conv},
    {"Conv2DBackpropInput", lower_deconv},
    {"DepthToSpace", lower_blocks},
    {"DepthwiseConv2dNative", lower_conv},
    {"Dequantize", lower_grid},
    {"FusedBatchNorm", lower_batch_norm},
    {"FusedBatchNormV2", lower_batch_norm},
    {"FusedBatchNormV3", lower_batch_norm},
    {"LRN", lower_lrn},
    {"MaxPool", lower_pool},
    {"ResizeBilinear", lower_resize},
    {"ResizeNearestNeighbor", lower_resize},
    {"SpaceToDepth", lower_blocks},
};

class Lowered {
 public:
  Lowered(const Graph& graph, const std::map<Value, Fact>& known)
      : from_(graph), facts_(graph, known), uses_(graph), known_(known) {}

  Graph run(const std::vector<std::string>& outputs) {
    const std::set<NodeId> needed = needed_nodes(from_, outputs);
    for (NodeId id : from_.topological_order())
      if (needed.contains(id)) add(id);
    std::vector<NodeId> ids;
    for (const std::string& name : outputs) ids.push_back(add_output(name));
    return move_transposes(b_.graph, ids);
  }

 private:
  Value made(Value v) const {
    const auto it = made_.find(v.node);
    if (it == made_.end()) throw Error(node_text(from_.node(v.node)), "runs in a loop", "loops are not written as ONNX");
    return {it->second.node, it->second.slot + v.slot};
  }

  void add(NodeId id) {
    const Node& n = from_.node(id);
    Lowering l{from_, facts_, uses_, b_, id, n, {}};
    for (Value v : n.inputs) l.in.push_back(made(v));
    b_.scope = n.name;
    try {
      made_[id] = lowered(l);
    } catch (const Error& e) {
      throw e.where().starts_with("node ") ? e : e.within(node_text(n));
    }
  }

  Value lowered(Lowering& l) {
    for (const LoweringEntry& entry : kLowerings)
      if (l.node.op == entry.op) return entry.lower(l);
    if (const Tensor* t = from_.constant(l.id)) return b_.named_constant(l.node.name, *t);
    AttrMap attrs = l.node.attrs;
    if (const auto it = known_.find({l.id, 0}); it != known_.end() && l.node.op == "Placeholder" && it->second.shape)
      attrs.insert_or_assign("shape", ShapeAttr{true, *it->second.shape});
    return b_.add_as(l.node.name, l.node.op, l.in, std::move(attrs));
  }

  NodeId add_output(const std::string& name) {
    const Value v = made(from_.value(name));
    std::string wanted = name;
    std::replace(wanted.begin(), wanted.end(), ':', '_');
    const NodeId other = b_.graph.find(wanted);
    if (other >= 0 && b_.graph.node(other).op != "Placeholder") b_.graph.rename(other, b_.graph.unique_name(wanted));
    return b_.add_as(other >= 0 && b_.graph.node(other).op == "Placeholder" ? wanted + "_output" : wanted, "Identity", {v}, {})
        .node;
  }

  const Graph& from_;
  const Facts facts_;
  const Consumers uses_;
  const std::map<Value, Fact>& known_;
  Builder b_;
  std::map<NodeId, Value> made_;
};

}  // namespace

bool is_lowered(const std::string& op) {
  return op == "QuantizeV2" ||
         std::any_of(std::begin(kLowerings), std::end(kLowerings), [&](const LoweringEntry& entry) { return op == entry.op; });
}

std::set<NodeId> needed_nodes(const Graph& graph, const std::vector<std::string>& outputs) {
  std::set<NodeId> needed;
  std::vector<NodeId> open;
  for (const std::string& name : outputs) open.push_back(graph.value(name).node);
  for (NodeId id : graph.ids())
    if (graph.node(id).op == "Placeholder") open.push_back(id);
  while (!open.empty()) {
    const NodeId id = open.back();
    open.pop_back();
    if (!needed.insert(id).second) continue;
    for (Value v : graph.node(id).inputs) open.push_back(v.node);
  }
  return needed;
}

Graph lower(const Graph& graph, const std::vector<std::string>& outputs, const std::map<Value, Fact>& known) {
  return Lowered(graph, known).run(outputs);
}

}  // namespace cytodet::graph::onnx
