#include "graph/io/tflite/write/emit.h"

#include "core/error.h"
#include "graph/ir/conv_node.h"

namespace cytodet::graph::lite {

Shape LiteEmit::shape_of(Value v) const {
  const Fact& f = w_.facts.of(v);
  if (!f.has_static_shape())
    throw Error("", "reads or makes " + graph.name_of(v) + " of " + (f.shape ? to_string(*f.shape) : "a size that is not known"),
                "TensorFlow Lite wants fixed sizes: state those of the inputs, --input NAME=1,224,224,3");
  return *f.shape;
}

const Tensor* Writing::constant(Value v) {
  if (const Tensor* own = graph.constant(v)) return own;
  const Fact& f = facts.of(v);
  if (f.constant) return &*f.constant;
  if (v.slot != 0) return nullptr;
  if (const auto it = folded.find(v.node); it != folded.end()) return &it->second;
  const Node& node = graph.node(v.node);
  const Op* op = find_op(node.op);
  if (node.inputs.empty() || !op || !op->eval || op->stateful) return nullptr;
  std::vector<Tensor> in;
  for (Value i : node.inputs) {
    const Tensor* t = constant(i);
    if (!t) return nullptr;
    in.push_back(*t);
  }
  return &folded.emplace(v.node, evaluate(node, in).at(0)).first->second;
}
const Tensor& LiteEmit::need_constant(size_t i) const {
  const Tensor* t = constant(i);
  if (!t) throw Error("", "computes its input " + std::to_string(i) + " while it runs", "such nodes are not written");
  return *t;
}

namespace {

Tensor as_int32(const Tensor& t) {
  const std::vector<int64_t> values = t.as_ints();
  return Tensor::from<int32_t>(t.shape(), std::vector<int32_t>(values.begin(), values.end()));
}

DType storable(DType t, const std::string& name) {
  static const std::set<DType> kKnown = {DType::f32, DType::f16, DType::f64, DType::i8,  DType::i16, DType::i32,
                                         DType::i64, DType::u8,  DType::u16, DType::u32, DType::u64, DType::boolean};
  if (!kKnown.contains(t))
    throw Error("", "makes or reads " + name + " of type " + core::name_of(t), "such values are not written");
  return t;
}

}  // namespace

int LiteEmit::tensor_of(Value v) {
  if (const auto it = w_.tensors.find(v); it != w_.tensors.end()) return it->second;
  const Tensor* value = w_.constant(v);
  if (!value) throw Error("", "reads " + graph.name_of(v) + ", which is not made before it");
  storable(value->dtype(), graph.name_of(v));
  const int tensor = w_.net.add({graph.name_of(v), value->shape(), value->dtype(), *value, {}, {}, -1, {}});
  w_.tensors.emplace(v, tensor);
  return tensor;
}

int LiteEmit::in_int32(size_t i) {
  if (const Tensor* t = constant(i)) return held("ints" + std::to_string(i), as_int32(*t));
  const int tensor = in(i);
  if (at(tensor).dtype == DType::i32) return tensor;
  const int to = between("int32_" + std::to_string(i), at(tensor).shape, DType::i32);
  op<schema::CastOptions>(schema::BuiltinOperator::CAST, {tensor}, {to}, [](auto& b) {
    return schema::CreateCastOptions(b, schema::TensorType::INT64, schema::TensorType::INT32);
  });
  return to;
}

std::vector<int> LiteEmit::all() {
  std::vector<int> tensors;
  for (size_t i = 0; i < n.inputs.size(); ++i) tensors.push_back(in(i));
  return tensors;
}

int LiteEmit::held(const std::string& what, Tensor data) {
  const Shape s = data.shape();
  const DType t = data.dtype();
  return w_.net.add({n.name + "/" + what, s, t, std::move(data), {}, {}, -1, {}});
}
int LiteEmit::ints(const std::string& what, const std::vector<int64_t>& values) {
  return held(what,
              Tensor::from<int32_t>({static_cast<int64_t>(values.size())}, std::vector<int32_t>(values.begin(), values.end())));
}
int LiteEmit::between(const std::string& what, const Shape& shape, DType type) {
  return w_.net.add({n.name + "/" + what, shape, type, {}, {}, {}, -1, {}});
}

int LiteEmit::result(Value v) {
  const DType type = storable(w_.facts.of(v).dtype, graph.name_of(v));
  const int tensor = w_.net.add({graph.name_of(v), shape_of(v), type, {}, {}, {}, -1, {}});
  w_.tensors.insert_or_assign(v, tensor);
  return tensor;
}

int LiteEmit::copy_of(int tensor) {
  const Shape s = at(tensor).shape;
  const std::vector<int32_t> dims(s.begin(), s.end());
  const int shape = ints("copy_shape", {s.begin(), s.end()});
  const int to = between("copy", s, at(tensor).dtype);
  op<schema::ReshapeOptions>(schema::BuiltinOperator::RESHAPE, {tensor, shape}, {to},
                             [dims](auto& b) { return schema::CreateReshapeOptionsDirect(b, &dims); });
  return to;
}

bool LiteEmit::is_read_by_one(Value v) const { return v.slot == 0 && w_.uses.sole(v.node) && !w_.outputs.contains(v.node); }

std::optional<Tensor> LiteEmit::bias_behind(Value& v) {
  if (w_.outputs.contains(v.node)) return {};
  const std::optional<BiasNode> at = graph::bias_behind(graph, w_.uses, v);
  if (!at || w_.covered.contains(at->node) || at->bias->dtype() != DType::f32) return {};
  const Shape s = shape_of(v);
  const int64_t channels = s.empty() ? 0 : s.back();
  for (size_t d = 0; d + 1 < at->bias->shape().size(); ++d)
    if (at->bias->shape()[d] != 1) return {};
  if (at->bias->size() != channels && at->bias->size() != 1) return {};
  if (is_channels_first(graph.node(at->node)) && s.size() > 2) return {};
  Tensor bias(DType::f32, {channels});
  for (int64_t c = 0; c < channels; ++c) bias.data<float>()[c] = at->bias->data<float>()[at->bias->size() == 1 ? 0 : c];
  v = {at->node, 0};
  w_.covered.insert(at->node);
  return bias;
}

schema::ActivationFunctionType LiteEmit::activation_behind(Value& v) {
  using schema::ActivationFunctionType;
  if (!is_read_by_one(v)) return ActivationFunctionType::NONE;
  const NodeId next = w_.uses.of(v).at(0).node;
  const std::string& op = graph.node(next).op;
  if (op != "Relu" && op != "Relu6") return ActivationFunctionType::NONE;
  v = {next, 0};
  w_.covered.insert(next);
  return op == "Relu" ? ActivationFunctionType::RELU : ActivationFunctionType::RELU6;
}

}  // namespace cytodet::graph::lite
