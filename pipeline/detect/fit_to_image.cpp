#include "pipeline/detect/fit_to_image.h"

#include <algorithm>

#include "core/error.h"
#include "graph/ir/op.h"

namespace cytodet::pipeline {
namespace {

void set_size_input(Graph& graph, const InputSettings& settings) {
  const NodeId id = settings.size_node.empty() ? -1 : graph.find(settings.size_node);
  if (id < 0 || graph.node(id).op != "Placeholder") return;  // a quantized graph has the constant already
  const Node& n = graph.node(id);
  const DType type = n.attr_or("dtype", DType::invalid);
  const ShapeAttr* shape = n.find_attr<ShapeAttr>("shape");
  const Shape one = shape && shape->known_rank && shape->dims.size() == 1 ? Shape{2} : Shape{1, 2};
  const bool fits = !shape || !shape->known_rank ||
                    std::equal(one.begin(), one.end(), shape->dims.begin(), shape->dims.end(),
                               [](int64_t wanted, int64_t found) { return found < 0 || found == wanted; });
  const std::string is = "input.size_node, takes " + (type == DType::invalid ? "values of no known type" : name_of(type)) +
                         (shape && shape->known_rank ? " " + to_string(shape->dims) : "");
  if (!fits) throw Error("input " + n.name, is + ", but width and height are [1, 2]");
  Tensor value;
  if (type == DType::i64)
    value = Tensor::from<int64_t>(one, {settings.width, settings.height});
  else if (type == DType::i32)
    value = Tensor::from<int32_t>(one, {settings.width, settings.height});
  else if (type == DType::f32)
    value = Tensor::from<float>(one, {static_cast<float>(settings.width), static_cast<float>(settings.height)});
  else
    throw Error("input " + n.name, is, "int64, int32 and float32 are known");
  graph.become_const(id, std::move(value));
}

bool is_narrow(DType t) { return t == DType::f16 || t == DType::bf16; }

Value cast(Graph& graph, const std::string& name, Value from, DType source, DType to) {
  return graph.add_new(name, "Cast", {from}, {{"SrcT", source}, {"DstT", to}, {"Truncate", false}});
}

void widen_image(Graph& graph, const std::string& name) {
  const NodeId id = graph.find(name);
  if (id < 0 || graph.node(id).op != "Placeholder") return;
  const DType type = graph.node(id).attr_or("dtype", DType::f32);
  if (!is_narrow(type)) return;
  const Value narrow = cast(graph, name + "/cast", {id, 0}, DType::f32, type);
  graph.replace_uses({id, 0}, narrow);
  graph.node(narrow.node).inputs[0] = {id, 0};
  graph.node(id).attrs.insert_or_assign("dtype", DType::f32);
}

void widen_outputs(Graph& graph, const std::vector<std::string>& names) {
  const auto mentions = [&](NodeId id) {  // so that the types of most graphs need not be found out
    const Node& n = graph.node(id);
    return is_narrow(n.attr_or("dtype", DType::f32)) || is_narrow(n.attr_or("DstT", DType::f32));
  };
  const std::vector<NodeId> ids = graph.ids();
  if (std::none_of(ids.begin(), ids.end(), mentions)) return;
  const Facts facts(graph, {});
  for (const std::string& name : names) {
    const Value v = graph.value(name);
    const DType type = facts.of(v).dtype;
    if (v.slot != 0 || !is_narrow(type)) continue;
    const std::string own = graph.node(v.node).name;
    graph.rename(v.node, graph.unique_name(own + "/narrow"));
    graph.rename(cast(graph, own + "/cast", v, type, DType::f32).node, own);
  }
}

}  // namespace

void fit_to_image(Graph& graph, const NetworkModel& network) {
  set_size_input(graph, network.input());
  widen_image(graph, network.input().node);
  widen_outputs(graph, network.outputs());
}

void check_inputs(const Plan& plan, const InputSettings& settings) {
  bool image = false;
  for (const TensorSpec& input : plan.inputs()) {
    if (input.name != settings.node)
      throw Error(
          "input " + input.name, "is fed by nothing: the model file feeds " + settings.node + " alone",
          "make it a constant where the network is exported; one that takes width and height is named by input.size_node");
    image = true;
  }
  if (!image) throw Error("input " + settings.node, "is not read: no output depends on it", "check input.node and the outputs");
}

}  // namespace cytodet::pipeline
