// Inlining of library functions.
#include <algorithm>

#include "core/error.h"
#include "graph/functional_control.h"
#include "graph/io.h"
#include "graph/io_proto.h"

namespace cytodet {
namespace {

struct Library {
  proto::FunctionDefLibrary message;
  std::map<std::string, const proto::FunctionDef*> by_name;
};

std::string called_function(const Node& n, const Library& library) {
  if (n.op == "PartitionedCall" || n.op == "StatefulPartitionedCall") {
    auto it = n.attrs.find("f");
    const FuncAttr* f = it == n.attrs.end() ? nullptr : it->second.get<FuncAttr>();
    return f ? f->name : std::string();
  }
  return library.by_name.contains(n.op) ? n.op : std::string();
}

// Number of values of one named output or input of a function's signature.
int64_t arg_count(const proto::OpDef::ArgDef& arg, const AttrMap& attrs) {
  auto find = [&](const std::string& key) { return attrs.find(key); };
  if (!arg.number_attr().empty())
    if (auto it = find(arg.number_attr()); it != attrs.end())
      if (const int64_t* n = it->second.get<int64_t>()) return *n;
  if (!arg.type_list_attr().empty())
    if (auto it = find(arg.type_list_attr()); it != attrs.end())
      if (const AttrList* l = it->second.get<AttrList>()) return static_cast<int64_t>(l->types.size());
  return 1;
}

// Flat slot of "node:output:index" for ops whose outputs have names; single-output ops and unlisted ones use the index alone.
int flat_slot(const Node& n, const std::string& output, int index, const Library& library) {
  struct Names {
    const char* op;
    std::vector<const char*> outputs;
  };
  static const std::vector<Names> kNamed = {
      {"TopKV2", {"values", "indices"}},
      {"FusedBatchNorm", {"y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"}},
      {"FusedBatchNormV2", {"y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"}},
      {"FusedBatchNormV3", {"y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2", "reserve_space_3"}},
      {"Switch", {"output_false", "output_true"}},
      {"Merge", {"output", "value_index"}},
      {"Unique", {"y", "idx"}},
      {"UniqueV2", {"y", "idx"}},
      {"UniqueWithCounts", {"y", "idx", "count"}},
      {"ListDiff", {"out", "idx"}},
      {"NonMaxSuppressionV4", {"selected_indices", "valid_outputs"}},
      {"NonMaxSuppressionV5", {"selected_indices", "selected_scores", "valid_outputs"}},
      {"CombinedNonMaxSuppression", {"nmsed_boxes", "nmsed_scores", "nmsed_classes", "valid_detections"}},
      {"MaxPoolWithArgmax", {"output", "argmax"}},
      {"TensorArrayV3", {"handle", "flow"}},
      {"TensorArrayConcatV3", {"value", "lengths"}},
      {"TensorListConcatV2", {"tensor", "lengths"}},
      {"TensorListPopBack", {"output_handle", "tensor"}},
      {"UniqueWithCountsV2", {"y", "idx", "count"}},
      {"Qr", {"q", "r"}},
      {"Lu", {"lu", "p"}},
      {"SelfAdjointEigV2", {"e", "v"}},
      {"LogMatrixDeterminant", {"sign", "log_abs_determinant"}},
      {"SoftmaxCrossEntropyWithLogits", {"loss", "backprop"}},
      {"SparseSoftmaxCrossEntropyWithLogits", {"loss", "backprop"}},
      {"QuantizeDownAndShrinkRange", {"output", "output_min", "output_max"}},
      {"RequantizationRange", {"output_min", "output_max"}},
      {"LSTMBlockCell", {"i", "cs", "f", "o", "ci", "co", "h"}},
      {"BlockLSTM", {"i", "cs", "f", "o", "ci", "co", "h"}},
      {"BlockLSTMV2", {"i", "cs", "f", "o", "ci", "co", "h"}},
      {"GRUBlockCell", {"r", "u", "c", "h"}},
      {"QuantizeV2", {"output", "output_min", "output_max"}},
      {"Requantize", {"output", "output_min", "output_max"}},
  };
  for (const Names& row : kNamed)
    if (n.op == row.op)
      for (size_t i = 0; i < row.outputs.size(); ++i)
        if (output == row.outputs[i]) return static_cast<int>(i) + index;
  if (std::string f = called_function(n, library); !f.empty()) {
    int slot = 0;
    if (auto it = library.by_name.find(f); it != library.by_name.end() && n.op == f)
      for (const auto& arg : it->second->signature().output_arg()) {
        if (arg.name() == output) return slot + index;
        slot += static_cast<int>(arg_count(arg, n.attrs));
      }
  }
  return index;
}

// Attributes of the body with "$placeholder" replaced by the call's.
AttrMap bind_placeholders(const AttrMap& body, const google::protobuf::Map<std::string, proto::AttrValue>& encoded,
                          const AttrMap& call) {
  AttrMap bound = body;
  for (const auto& [key, value] : encoded)
    if (value.value_case() == proto::AttrValue::kPlaceholder)
      if (auto it = call.find(value.placeholder()); it != call.end()) bound.insert_or_assign(key, it->second);
  return bound;
}

struct Inlined {
  std::vector<Value> outputs;
  std::vector<NodeId> controls;
};

Inlined inline_call(Graph& g, const Node& call, const proto::FunctionDef& f, const Library& library) {
  std::map<std::string, std::vector<Value>> values;  // of arguments
  size_t next = 0;
  AttrMap attrs = call.attrs;
  for (const auto& [key, value] : decode_attrs(f.attr())) attrs.emplace(key, value);
  if (auto it = call.attrs.find("f"); it != call.attrs.end())
    if (const FuncAttr* func = it->second.get<FuncAttr>(); func && func->attrs)
      for (const auto& [key, value] : *func->attrs) attrs.insert_or_assign(key, value);
  for (const auto& arg : f.signature().input_arg())
    for (int64_t i = arg_count(arg, attrs); i > 0; --i) {
      if (next >= call.inputs.size())
        throw Error("", "function " + f.signature().name() + " needs more inputs than the call has");
      values[arg.name()].push_back(call.inputs[next++]);
    }
  std::map<std::string, NodeId> made;
  for (const auto& n : f.node_def()) {
    Node node;
    node.name = g.unique_name(call.name + "/" + n.name());
    node.op = n.op();
    node.device = n.device();
    node.attrs = bind_placeholders(decode_attrs(n.attr()), n.attr(), attrs);
    node.controls = call.controls;
    made[n.name()] = g.add(std::move(node));
  }
  auto resolve = [&](const std::string& ref) -> Value {
    size_t first = ref.find(':');
    std::string name = ref.substr(0, first);
    if (auto it = values.find(name); it != values.end()) {
      size_t index =
          first == std::string::npos ? 0 : static_cast<size_t>(std::strtol(ref.c_str() + ref.rfind(':') + 1, nullptr, 10));
      if (index < it->second.size()) return it->second[index];
    } else if (auto m = made.find(name); m != made.end()) {
      size_t second = first == std::string::npos ? first : ref.find(':', first + 1);
      std::string output =
          first == std::string::npos ? "" : ref.substr(first + 1, second == std::string::npos ? second : second - first - 1);
      int index = second == std::string::npos ? 0 : static_cast<int>(std::strtol(ref.c_str() + second + 1, nullptr, 10));
      return {m->second, flat_slot(g.node(m->second), output, index, library)};
    }
    throw Error("", "function " + f.signature().name() + " refers to \"" + ref + "\", which does not exist");
  };
  for (const auto& n : f.node_def()) {
    Node& node = g.node(made[n.name()]);
    for (const std::string& ref : n.input()) {
      if (ref.starts_with("^")) {
        if (auto it = made.find(ref.substr(1)); it != made.end()) node.controls.push_back(it->second);
      } else {
        node.inputs.push_back(resolve(ref));
      }
    }
  }
  Inlined result;
  for (const auto& arg : f.signature().output_arg()) {
    auto it = f.ret().find(arg.name());
    if (it == f.ret().end()) throw Error("", "function " + f.signature().name() + " does not return \"" + arg.name() + "\"");
    result.outputs.push_back(resolve(it->second));
  }
  for (const auto& [name, target] : f.control_ret())
    if (auto it = made.find(target); it != made.end()) result.controls.push_back(it->second);
  return result;
}

std::vector<FuncAttr> branches_of(const Node& n) {
  std::vector<FuncAttr> functions;
  const auto it = n.attrs.find("branches");
  proto::AttrValue value;
  if (it == n.attrs.end() || !it->second.wire() || !value.ParseFromString(*it->second.wire())) return functions;
  for (const auto& f : value.list().func()) functions.push_back({f.name(), std::make_shared<AttrMap>(decode_attrs(f.attr()))});
  return functions;
}

}  // namespace

int inline_functions(Graph& graph) {
  if (graph.library.empty()) return 0;
  Library library;
  if (!library.message.ParseFromString(graph.library)) throw Error("graph", "the function library cannot be read");
  for (const auto& f : library.message.function()) library.by_name[f.signature().name()] = &f;
  int replaced = 0;
  std::map<NodeId, int> depth;
  for (bool again = true; again;) {
    again = false;
    for (NodeId id : graph.ids()) {
      const Node call = graph.node(id);
      if (is_functional_control(call)) {
        const int first = graph.capacity();
        try {
          lower_functional_control(graph, id, branches_of(call));
        } catch (const Error& e) {
          throw e.within("node " + call.name + " (" + call.op + ")");
        }
        for (int made = first; made < graph.capacity(); ++made) depth[made] = depth[id] + 1;
        ++replaced;
        again = true;
        continue;
      }
      auto it = library.by_name.find(called_function(call, library));
      if (it == library.by_name.end()) continue;
      const std::string where = "node " + call.name + " (" + call.op + ")";
      if (depth[id] > 64 || replaced > 100000)
        throw Error(where, "the function calls itself", "recursive functions cannot be inlined");
      int first_new = graph.capacity();
      Inlined body;
      try {
        body = inline_call(graph, call, *it->second, library);
      } catch (const Error& e) {
        throw e.within(where);
      }
      for (int made = first_new; made < graph.capacity(); ++made) depth[made] = depth[id] + 1;
      for (size_t slot = 1; slot < body.outputs.size(); ++slot)
        graph.replace_uses({id, static_cast<int>(slot)}, body.outputs[slot]);
      // The call itself stays as an Identity of its outputs, so that its names and control edges stay.
      Node& n = graph.node(id);
      n.attrs.clear();
      if (body.outputs.empty()) {
        n.op = "NoOp";
        n.inputs.clear();
      } else {
        n.op = "Identity";
        n.inputs = {body.outputs[0]};
        auto t = call.attrs.find("T");
        const DType* type = t == call.attrs.end() ? nullptr : t->second.get<DType>();
        n.attrs.emplace("T", type ? *type : static_cast<DType>(it->second->signature().output_arg(0).type()));
        if (*n.attrs.find("T")->second.get<DType>() == DType::invalid) n.attrs.insert_or_assign("T", Attr(DType::f32));
        AttrList types;
        for (const auto& arg : it->second->signature().output_arg()) types.types.push_back(static_cast<DType>(arg.type()));
        const bool known = std::find(types.types.begin(), types.types.end(), DType::invalid) == types.types.end();
        if (body.outputs.size() > 1 && body.outputs.size() == types.types.size() && known)
          keep_all(graph, id, body.outputs, types);
      }
      n.controls.insert(n.controls.end(), body.controls.begin(), body.controls.end());
      ++replaced;
      again = true;
    }
  }
  graph.library.clear();
  return replaced;
}

}  // namespace cytodet
