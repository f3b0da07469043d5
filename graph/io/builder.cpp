#include "graph/io/builder.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "core/dispatch.h"
#include "graph/ir/node_facts.h"

namespace cytodet::graph {
namespace {

// What a shape or an index may take as a constant of its own; larger ones stay nodes unless they shrink their inputs.
constexpr int64_t kFoldBytes = 1 << 20;

// Attributes that name the type of an input; ops that are not listed have "T", the type of the first.
struct TypeAttr {
  const char* name;
  size_t input;
};
struct OpTypes {
  const char* op;
  std::vector<TypeAttr> attrs;
};
const std::vector<OpTypes>& op_type_entries() {
  static const std::vector<OpTypes> entries = {
      {"ArgMax", {{"T", 0}, {"Tidx", 1}}},
      {"ArgMin", {{"T", 0}, {"Tidx", 1}}},
      {"All", {{"Tidx", 1}}},
      {"Any", {{"Tidx", 1}}},
      {"BroadcastTo", {{"T", 0}, {"Tidx", 1}}},
      {"Cast", {{"SrcT", 0}}},
      {"Cumsum", {{"T", 0}, {"Tidx", 1}}},
      {"Dequantize", {{"T", 0}}},
      {"ExpandDims", {{"T", 0}, {"Tdim", 1}}},
      {"Fill", {{"T", 1}, {"index_type", 0}}},
      {"GatherNd", {{"Tparams", 0}, {"Tindices", 1}}},
      {"GatherV2", {{"Tparams", 0}, {"Tindices", 1}, {"Taxis", 2}}},
      {"LogicalAnd", {}},
      {"LogicalNot", {}},
      {"LogicalOr", {}},
      {"LoopCond", {}},
      {"Max", {{"T", 0}, {"Tidx", 1}}},
      {"Mean", {{"T", 0}, {"Tidx", 1}}},
      {"Min", {{"T", 0}, {"Tidx", 1}}},
      {"MirrorPad", {{"T", 0}, {"Tpaddings", 1}}},
      {"NonMaxSuppressionV3", {{"T", 0}, {"T_threshold", 3}}},
      {"OneHot", {{"T", 2}, {"TI", 0}}},
      {"PadV2", {{"T", 0}, {"Tpaddings", 1}}},
      {"Pad", {{"T", 0}, {"Tpaddings", 1}}},
      {"Placeholder", {}},
      {"Prod", {{"T", 0}, {"Tidx", 1}}},
      {"QuantizeV2", {}},
      {"Range", {{"Tidx", 0}}},
      {"Reshape", {{"T", 0}, {"Tshape", 1}}},
      {"ReverseSequence", {{"T", 0}, {"Tlen", 1}}},
      {"ReverseV2", {{"T", 0}, {"Tidx", 1}}},
      {"ScatterNd", {{"Tindices", 0}, {"T", 1}}},
      {"Slice", {{"T", 0}, {"Index", 1}}},
      {"Split", {{"T", 1}}},
      {"SplitV", {{"T", 0}, {"Tlen", 1}}},
      {"StridedSlice", {{"T", 0}, {"Index", 1}}},
      {"Select", {{"T", 1}}},
      {"SelectV2", {{"T", 1}}},
      {"Sum", {{"T", 0}, {"Tidx", 1}}},
      {"TensorArrayGatherV3", {}},
      {"TensorArrayV3", {}},
      {"TensorArrayWriteV3", {{"T", 2}}},
      {"Tile", {{"T", 0}, {"Tmultiples", 1}}},
      {"Transpose", {{"T", 0}, {"Tperm", 1}}},
  };
  return entries;
}

std::vector<TypeAttr> type_attrs(const std::string& op) {
  if (is_onnx_op(op)) return {};
  for (const OpTypes& entry : op_type_entries())
    if (op == entry.op) return entry.attrs;
  return {{"T", 0}};
}

bool takes_list(const std::string& op) { return op == "ConcatV2" || op == "Pack" || op == "AddN" || op == "Merge"; }

// Quantized values of weights stay quantized values: what becomes of them is decided where the layer is.
bool may_fold(const std::string& op) { return op != "Dequantize" && op != "Placeholder"; }

}  // namespace

Shape transposed_shape(const Shape& s, const std::vector<int64_t>& perm) {
  Shape t;
  for (int64_t p : perm) t.push_back(s[static_cast<size_t>(p)]);
  return t;
}

std::vector<int64_t> inverse_perm(const std::vector<int64_t>& perm) {
  std::vector<int64_t> inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  return inverse;
}

const Fact& Builder::fact(Value v) const {
  static const Fact nothing;
  if (v.node < 0 || static_cast<size_t>(v.node) >= facts_.size()) return nothing;
  const auto& out = facts_[static_cast<size_t>(v.node)];
  return static_cast<size_t>(v.slot) < out.size() ? out[static_cast<size_t>(v.slot)] : nothing;
}
DType Builder::type(Value v) const {
  const DType t = fact(v).dtype;
  if (t == DType::invalid) throw Error("", "the type of " + graph.name_of(v) + " is not known");
  return t;
}
int64_t Builder::rank(Value v) const { return static_cast<int64_t>(dims(v).size()); }
Shape Builder::dims(Value v) const {
  if (!fact(v).shape)
    throw Error("", "the number of dimensions of " + graph.name_of(v) + " is not known",
                "give the model's inputs shapes: --input NAME=1,3,640,640");
  return *fact(v).shape;
}
bool Builder::is_static(Value v) const { return fact(v).has_static_shape(); }
Shape Builder::static_dims(Value v) const {
  const Shape s = dims(v);
  if (!graph::is_static(s))
    throw Error("", "the size " + to_string(s) + " of " + graph.name_of(v) + " is not known",
                "give the model's inputs sizes: --input NAME=1,3,640,640");
  return s;
}

void Builder::remember(Value v) {
  const Node& n = graph.node(v.node);
  if (is_onnx_op(n.op)) {
    facts_.resize(static_cast<size_t>(graph.capacity()));
    const ShapeAttr& shape = n.attr<ShapeAttr>(kOnnxShape);
    facts_[static_cast<size_t>(v.node)] = {
        {n.attr<DType>(kOnnxType), shape.known_rank ? std::optional(shape.dims) : std::nullopt, {}}};
    return;
  }
  std::vector<Fact> in;
  for (Value i : n.inputs) in.push_back(fact(i));
  facts_.resize(static_cast<size_t>(graph.capacity()));
  std::vector<Fact>& facts = facts_[static_cast<size_t>(v.node)];
  facts = facts_of_node(n, in, graph.constant(v.node), kFoldBytes);
  if (const AttrList* known = n.op == "Merge" ? n.find_attr<AttrList>(kOutputShapes) : nullptr; known && !known->shapes.empty())
    facts.at(0).shape = known->shapes[0].known_rank ? std::optional(known->shapes[0].dims) : std::nullopt;
  if (may_fold(n.op)) return;
  for (Fact& f : facts) f.constant.reset();
}

bool is_onnx_op(const std::string& op) { return op.starts_with("onnx:"); }

Value Builder::add_onnx(const std::string& name, const std::string& op, std::vector<Value> inputs, AttrMap attrs, DType type,
                        const std::optional<Shape>& shape) {
  attrs.insert_or_assign(kOnnxType, type);
  attrs.insert_or_assign(kOnnxShape, ShapeAttr{shape.has_value(), shape.value_or(Shape())});
  return add_as(name, "onnx:" + op, std::move(inputs), std::move(attrs));
}

Value Builder::adopt(Value v) {
  for (NodeId id = static_cast<NodeId>(facts_.size()); id < graph.capacity(); ++id) remember({id, 0});
  return v;
}

AttrMap enter_attrs(DType type, const std::string& frame, bool is_constant) {
  return {{"T", type}, {"frame_name", frame}, {"is_constant", is_constant}, {"parallel_iterations", int64_t{10}}};
}

Value Builder::add_loop_merge(Value enter, const std::optional<Shape>& shape) {
  AttrList known;
  known.shapes.push_back({shape.has_value(), shape.value_or(Shape())});
  return add("Merge", {enter, enter}, {{kOutputShapes, known}});
}
void Builder::close_loop(Value merge, Value next) { graph.node(merge.node).inputs[1] = add("NextIteration", {next}); }

void Builder::remove_since(NodeId first) {
  for (NodeId id = graph.capacity() - 1; id >= first; --id) {
    if (!graph.alive(id)) continue;
    graph.remove(id);
    if (static_cast<size_t>(id) < facts_.size()) facts_[static_cast<size_t>(id)].clear();
  }
  std::erase_if(made_of, [&](const auto& entry) { return entry.first.node >= first || entry.second.number.node >= first; });
}

Value Builder::named_constant(const std::string& name, Tensor t) {
  const Value v = graph.add_const(name, std::move(t));
  remember(v);
  return v;
}
Value Builder::constant(Tensor t) { return named_constant(scope.empty() ? "constant" : scope + "/constant", std::move(t)); }

Value Builder::add_as(const std::string& name, const std::string& op, std::vector<Value> inputs, AttrMap attrs) {
  for (const TypeAttr& a : type_attrs(op))
    if (a.input < inputs.size() && attrs.find(a.name) == attrs.end()) attrs.emplace(a.name, type(inputs[a.input]));
  if (takes_list(op)) attrs.emplace("N", static_cast<int64_t>(inputs.size()) - (op == "ConcatV2" ? 1 : 0));
  if (op == "ConcatV2") attrs.emplace("Tidx", type(inputs.back()));
  const Value v = graph.add_new(name, op, std::move(inputs), std::move(attrs));
  try {
    remember(v);
  } catch (const Error& e) {
    if (e.where().starts_with("node ")) throw Error("", e.problem(), e.fix());
    throw;
  }
  return v;
}

Value Builder::add(const std::string& op, const std::vector<Value>& inputs, AttrMap attrs) {
  const Value v = add_as(scope.empty() ? op : scope + "/" + op, op, inputs, std::move(attrs));
  const auto& out = facts_[static_cast<size_t>(v.node)];
  if (out.size() != 1 || inputs.empty() || !may_fold(op)) return v;
  std::optional<Tensor> value = out[0].constant;
  if (!value) {
    std::vector<Tensor> tensors;
    int64_t bytes = 0;
    std::set<Value> counted;  // once each, or a value joined with itself again and again would grow without end
    for (Value i : inputs) {
      const Tensor* t = graph.constant(i);
      if (!t || t->dtype() == DType::string) return v;
      tensors.push_back(*t);
      if (counted.insert(i).second) bytes += static_cast<int64_t>(t->bytes());
    }
    if (!out[0].has_static_shape()) return v;
    if (elements(*out[0].shape) > (bytes + kFoldBytes) / static_cast<int64_t>(std::max<size_t>(1, size_of(out[0].dtype))))
      return v;
    const Op* known = find_op(op);
    if (!known || known->stateful || !known->eval) return v;
    value = evaluate(graph.node(v.node), tensors).at(0);
  }
  const std::string name = graph.node(v.node).name;
  graph.remove(v.node);
  const Value folded = graph.add_const(name, *value);
  remember(folded);
  return folded;
}

Value Builder::ints(const std::vector<int64_t>& values) {
  return constant(Tensor::from<int64_t>({static_cast<int64_t>(values.size())}, values));
}
Value Builder::int64(int64_t value) { return constant(Tensor::scalar<int64_t>(value)); }
Value Builder::int32s(const std::vector<int64_t>& values) {
  return constant(
      Tensor::from<int32_t>({static_cast<int64_t>(values.size())}, std::vector<int32_t>(values.begin(), values.end())));
}
Value Builder::int32(int64_t value) { return constant(Tensor::scalar<int32_t>(static_cast<int32_t>(value))); }
Value Builder::number(double value, DType type) {
  Tensor t(type, {});
  if (type == DType::boolean)
    t.data<bool>()[0] = value != 0;
  else
    on_numeric(type, [&]<class T>() {
      if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
        t.data<T>()[0] = T(static_cast<float>(value));
      else
        t.data<T>()[0] = static_cast<T>(value);
    });
  return constant(std::move(t));
}

Value Builder::cast(Value x, DType to) { return type(x) == to ? x : add("Cast", {x}, {{"DstT", to}}); }

std::vector<int64_t> Builder::last_perm(int64_t rank) {
  std::vector<int64_t> perm{0};
  for (int64_t d = 2; d < rank; ++d) perm.push_back(d);
  if (rank > 1) perm.push_back(1);
  return perm;
}
std::vector<int64_t> Builder::first_perm(int64_t rank) { return inverse_perm(last_perm(rank)); }

Value Builder::add_bias(Value product, Value bias) {
  const Shape numbers = dims(bias), result = dims(product);
  const bool whole = numbers.size() == 1 && numbers[0] > 0 && numbers[0] == result[1];
  if (whole && is_floating(type(product))) return add("BiasAdd", {product, bias}, {{"data_format", "NHWC"}});
  return add("AddV2", {product, bias});
}

Value Builder::transpose(Value x, const std::vector<int64_t>& perm) {
  if (std::is_sorted(perm.begin(), perm.end())) return x;
  const Node& n = graph.node(x.node);
  if (n.op == "Transpose" && n.inputs.size() == 2) {
    if (const Tensor* before = graph.constant(n.inputs[1])) {
      const std::vector<int64_t> inner = before->as_ints();
      std::vector<int64_t> both;
      for (int64_t p : perm) both.push_back(inner[static_cast<size_t>(p)]);
      return transpose(n.inputs[0], both);
    }
  }
  if (n.op == "Dequantize" && graph.constant(n.inputs[0])) {  // the quantized values of weights
    AttrMap attrs = n.attrs;
    const std::vector<Value> in = n.inputs;
    const int64_t axis = n.attr_or("axis", int64_t{-1});
    if (axis >= 0) attrs.insert_or_assign("axis", inverse_perm(perm)[static_cast<size_t>(axis)]);
    return add("Dequantize", {transpose(in[0], perm), in[1], in[2]}, std::move(attrs));
  }
  if (const Tensor* sizes = n.op == "Fill" ? graph.constant(n.inputs[0]) : nullptr) {
    const std::vector<int64_t> old = sizes->as_ints();
    std::vector<int64_t> s;
    for (int64_t p : perm) s.push_back(old[static_cast<size_t>(p)]);
    return add("Fill", {ints(s), n.inputs[1]});
  }
  return add("Transpose", {x, int32s(perm)});
}
Value Builder::reshape(Value x, const Shape& dims) {
  if (fact(x).shape && *fact(x).shape == dims && graph::is_static(dims)) return x;
  return add("Reshape", {x, ints(dims)});
}
Value Builder::shape(Value x) {
  if (is_static(x)) return ints(dims(x));
  return add("Shape", {x}, {{"out_type", DType::i64}});
}
Value Builder::expand_dims(Value x, const std::vector<int64_t>& axes) {
  if (is_static(x)) {
    Shape s = dims(x);
    for (int64_t a : axes) s.insert(s.begin() + a, 1);
    return reshape(x, s);
  }
  for (int64_t a : axes) x = add("ExpandDims", {x, int32(a)});
  return x;
}
Value Builder::squeeze(Value x, const std::vector<int64_t>& axes) {
  if (axes.empty()) return x;
  AttrList list;
  list.ints = axes;
  return add("Squeeze", {x}, {{"squeeze_dims", list}});
}
Value Builder::slice(Value x, int64_t axis, int64_t begin, int64_t end) {
  std::vector<int64_t> from(static_cast<size_t>(rank(x)), 0), size(static_cast<size_t>(rank(x)), -1);
  from[static_cast<size_t>(axis)] = begin;
  size[static_cast<size_t>(axis)] = end - begin;
  return add("Slice", {x, ints(from), ints(size)});
}
Value Builder::dimension(Value x, int64_t axis) {
  const Shape s = dims(x);
  if (s[static_cast<size_t>(axis)] >= 0) return int64(s[static_cast<size_t>(axis)]);
  return add("GatherV2", {shape(x), int32(axis), int32(0)});
}

}  // namespace cytodet::graph
