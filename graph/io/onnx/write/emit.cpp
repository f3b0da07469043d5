#include "graph/io/onnx/write/emit.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "core/dispatch.h"
#include "core/error.h"
#include "graph/io/onnx/tensor_proto.h"
#include "onnx_model.pb.h"

namespace cytodet::graph::onnx {
namespace {

namespace proto = cytodet::onnx_proto;

void encode_tensor(const Tensor& t, const std::string& name, proto::TensorProto& m) {
  const int type = onnx_type_of(t.dtype());
  if (type == 0) throw Error("tensor " + name, "is of type " + name_of(t.dtype()) + ", which ONNX does not have");
  m.set_name(name);
  m.set_data_type(type);
  for (int64_t d : t.shape()) m.add_dims(d);
  if (t.dtype() == DType::string)
    for (const std::string& s : t.strings()) m.add_string_data(s);
  else
    m.set_raw_data(t.raw(), t.bytes());
}

struct AttrEncoder {
  proto::AttributeProto& m;
  void operator()(int64_t i) const { m.set_i(i), m.set_type(2); }
  void operator()(bool b) const { m.set_i(b), m.set_type(2); }
  void operator()(float f) const { m.set_f(f), m.set_type(1); }
  void operator()(const std::string& s) const { m.set_s(s), m.set_type(3); }
  void operator()(const Tensor& t) const { encode_tensor(t, "", *m.mutable_t()), m.set_type(4); }
  void operator()(const AttrList& list) const {
    for (int64_t i : list.ints) m.add_ints(i);
    m.set_type(7);
  }
  template <class Other>
  void operator()(const Other&) const {
    throw Error("", "attribute " + m.name() + " has no form in ONNX");
  }
};

void encode_value(const std::string& name, const Fact& fact, proto::ValueInfoProto& m) {
  m.set_name(name);
  const int type = onnx_type_of(fact.dtype);
  if (type == 0) throw Error(name, "is of type " + name_of(fact.dtype) + ", which ONNX does not have");
  m.mutable_type()->mutable_tensor_type()->set_elem_type(type);
  if (!fact.shape) return;
  auto& shape = *m.mutable_type()->mutable_tensor_type()->mutable_shape();
  for (size_t d = 0; d < fact.shape->size(); ++d) {
    auto& dim = *shape.add_dim();
    if ((*fact.shape)[d] >= 0)
      dim.set_dim_value((*fact.shape)[d]);
    else
      dim.set_dim_param(d == 0 ? "batch" : name + "_" + std::to_string(d));
  }
}

}  // namespace

ModelWriter::ModelWriter(int64_t opset) : model_(std::make_unique<proto::ModelProto>()) {
  model_->set_ir_version(8);
  model_->set_producer_name("cytodet");
  model_->add_opset_import()->set_version(opset);
  model_->mutable_graph()->set_name("graph");
}
ModelWriter::~ModelWriter() = default;

void ModelWriter::node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                       const std::vector<std::string>& outputs, const AttrMap& attrs) {
  proto::NodeProto& m = *model_->mutable_graph()->add_node();
  m.set_op_type(op);
  m.set_name(name);
  for (const std::string& i : inputs) m.add_input(i);
  for (const std::string& o : outputs) m.add_output(o);
  for (const auto& [key, attr] : attrs) {
    proto::AttributeProto& a = *m.add_attribute();
    a.set_name(key);
    std::visit(AttrEncoder{a}, attr.value());
  }
}
void ModelWriter::initializer(const std::string& name, const Tensor& tensor) {
  encode_tensor(tensor, name, *model_->mutable_graph()->add_initializer());
}
void ModelWriter::input(const std::string& name, const Fact& fact) {
  encode_value(name, fact, *model_->mutable_graph()->add_input());
}
void ModelWriter::output(const std::string& name, const Fact& fact) {
  encode_value(name, fact, *model_->mutable_graph()->add_output());
}

std::string ModelWriter::bytes() const {
  if (model_->ByteSizeLong() > (size_t{2} << 30) - 1) throw Error("", "is over 2 GiB, more than an ONNX file can hold");
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    model_->SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::string Emit::fresh(const std::string& base) {
  std::string name = base;
  while (graph.find(name) >= 0 || used_[name]++ > 0) name = base + "_" + std::to_string(++used_[base]);
  return name;
}
std::string Emit::own(int slot) const { return slot == 0 ? n.name : n.name + ":" + std::to_string(slot); }

std::string Emit::in(size_t i) {
  const Value v = n.inputs[i];
  const std::string name = graph.name_of(v);
  if (const Tensor* t = graph.constant(v); t && used_[name]++ == 0) writer_.initializer(name, *t);
  return name;
}
int64_t Emit::rank(size_t i) const {
  if (!fact(i).shape)
    throw Error("", "the number of dimensions of its input " + std::to_string(i) + " is not known",
                "state the sizes of the inputs: --input");
  return static_cast<int64_t>(fact(i).shape->size());
}
const Tensor& Emit::need_constant(size_t i) const {
  if (const Tensor* t = graph.constant(n.inputs[i])) return *t;
  throw Error("", "computes its input " + std::to_string(i) + " while it runs",
              "ONNX has it as a constant: state the sizes of the inputs: --input");
}
std::string Emit::add(const std::string& op, const std::vector<std::string>& inputs, const AttrMap& attrs) {
  const std::string name = fresh(n.name + "/" + op);
  writer_.node(op, name, inputs, {name}, attrs);
  return name;
}
void Emit::last(const std::string& op, const std::vector<std::string>& inputs, const AttrMap& attrs, int outputs) {
  std::vector<std::string> names;
  for (int slot = 0; slot < outputs; ++slot) names.push_back(own(slot));
  writer_.node(op, n.name, inputs, names, attrs);
}
void Emit::one_of(const std::string& op, const std::vector<std::string>& inputs, const AttrMap& attrs, int slot) {
  writer_.node(op, fresh(n.name + "/" + op), inputs, {own(slot)}, attrs);
}
std::string Emit::add_two(const std::string& op, const std::vector<std::string>& inputs, const AttrMap& attrs,
                          const std::string& first) {
  const std::string name = fresh(n.name + "/" + op);
  writer_.node(op, name, inputs, {first, name}, attrs);
  return name;
}
std::string Emit::held(const std::string& what, const Tensor& tensor) {
  const std::string name = fresh(n.name + "/" + what);
  writer_.initializer(name, tensor);
  return name;
}
std::string Emit::ints(const std::vector<int64_t>& values) {
  return held("ints", Tensor::from<int64_t>({static_cast<int64_t>(values.size())}, values));
}
std::string Emit::number(double value, DType type) {
  Tensor t(type, {});
  on_numeric(type, [&]<class T>() {
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
      t.data<T>()[0] = T(static_cast<float>(value));
    else
      t.data<T>()[0] = static_cast<T>(value);
  });
  return held("number", t);
}
std::string Emit::as_int64(size_t i) {
  if (const Tensor* t = graph.constant(n.inputs[i]); t && t->rank() == 1) return ints(t->as_ints());
  if (fact(i).dtype == DType::i64) return in(i);
  return add("Cast", {in(i)}, {{"to", int64_t{7}}});
}
std::vector<int64_t> Emit::axes(size_t i, int64_t rank) const {
  std::vector<int64_t> list = need_constant(i).as_ints();
  for (int64_t& a : list) {
    if (a < 0) a += rank;
    if (a < 0 || a >= rank) throw Error("", "axis " + std::to_string(a) + " is out of range");
  }
  return list;
}

}  // namespace cytodet::graph::onnx
