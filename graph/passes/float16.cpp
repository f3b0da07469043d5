// float16 and bfloat16 networks in float32: kernels, calibration and quantization work on float32.
#include <algorithm>
#include <array>
#include <map>

#include "core/dispatch.h"
#include "core/error.h"
#include "graph/passes/node_edits.h"
#include "graph/passes/passes.h"

namespace cytodet::graph {
namespace {

bool is_16_bit_float(DType t) { return t == DType::f16 || t == DType::bf16; }

// The values in float32; exact, as float32 holds every float16 and bfloat16.
Tensor widened(const Tensor& t) {
  Tensor wide(DType::f32, t.shape());
  for (int64_t i = 0; i < t.size(); ++i) wide.data<float>()[i] = static_cast<float>(t.as_double(i));
  return wide;
}

bool has_16_bit_float(const Attr& attr) {
  if (const DType* t = attr.get<DType>()) return is_16_bit_float(*t);
  if (const Tensor* t = attr.get<Tensor>()) return is_16_bit_float(t->dtype());
  const AttrList* list = attr.get<AttrList>();
  return list && std::any_of(list->types.begin(), list->types.end(), is_16_bit_float);
}

bool has_16_bit_float(const Node& n) {
  return std::any_of(n.attrs.begin(), n.attrs.end(), [](const auto& a) { return has_16_bit_float(a.second); });
}

void widen(Node& n) {
  for (auto& [name, attr] : n.attrs) {
    if (!has_16_bit_float(attr)) continue;
    if (attr.get<DType>()) {
      attr = Attr(DType::f32);
    } else if (const Tensor* t = attr.get<Tensor>()) {
      attr = Attr(widened(*t));
    } else {
      AttrList list = *attr.get<AttrList>();
      std::replace_if(list.types.begin(), list.types.end(), is_16_bit_float, DType::f32);
      attr = Attr(list);
    }
  }
}

// Nodes whose 16-bit values are more than numbers to compute with: they would mean something else in float32.
bool must_stay(const Node& n) {
  static constexpr std::array kOps = {"Bitcast", "PlaceholderWithDefault", "DecodeRaw", "DecodePaddedRaw"};
  if (std::find(kOps.begin(), kOps.end(), n.op) != kOps.end()) return true;
  const Op* op = find_op(n.op);
  return n.op != "Placeholder" && (!op || op->stateful);
}

AttrMap cast_attrs(DType from, DType to) {
  AttrMap attrs;
  attrs.emplace("SrcT", from);
  attrs.emplace("DstT", to);
  attrs.emplace("Truncate", false);
  return attrs;
}

// Readers of a fed value read it as float32.
void widen_input(Graph& g, NodeId id) {
  const DType type = g.node(id).attr<DType>("dtype");
  const Value wide = g.add_new(g.node(id).name + "/float32", "Cast", {}, cast_attrs(type, DType::f32));
  g.replace_uses({id, 0}, wide);
  g.node(wide.node).inputs = {{id, 0}};
}

// An output keeps its name and type: it becomes the cast of the node that it was.
void narrow_output(Graph& g, NodeId id, DType type) {
  const std::string name = g.node(id).name;
  g.rename(id, g.unique_name(name + "/float32"));
  Node cast;
  cast.name = name;
  cast.op = "Cast";
  cast.inputs = {{id, 0}};
  cast.attrs = cast_attrs(DType::f32, type);
  g.add(std::move(cast));
}

}  // namespace

bool pass_float16_to_float32(Graph& g, const Interface& io) {
  const std::vector<NodeId> all = g.ids();
  std::vector<NodeId> narrow;
  std::copy_if(all.begin(), all.end(), std::back_inserter(narrow), [&](NodeId id) { return has_16_bit_float(g.node(id)); });
  if (narrow.empty() || std::any_of(narrow.begin(), narrow.end(), [&](NodeId id) { return must_stay(g.node(id)); })) return false;
  const Facts facts(g);
  std::map<NodeId, DType> outputs;
  for (NodeId id : output_ids(g, io))
    if (const DType t = facts.of({id, 0}).dtype; is_16_bit_float(t) && g.node(id).op != "Placeholder") {
      if (facts.outputs(id) > 1) return false;  // a name that stands for several values
      outputs.emplace(id, t);
    }
  for (NodeId id : narrow)
    if (g.node(id).op == "Placeholder")
      widen_input(g, id);
    else
      widen(g.node(id));
  for (const auto& [id, type] : outputs) narrow_output(g, id, type);
  return true;
}

}  // namespace cytodet::graph
