// Inlining of library functions.
#include <algorithm>
#include <set>

#include "core/error.h"
#include "graph/io/tensorflow/functional_control.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tensorflow/proto.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/frames.h"
#include "graph/ir/op.h"
#include "graph/quantized/split_groups.h"

namespace cytodet::graph {
namespace {

struct Library {
  proto::FunctionDefLibrary message;
  std::map<std::string, const proto::FunctionDef*> by_name;
};

std::string called_function(const Node& n, const Library& library) {
  if (n.op == "PartitionedCall" || n.op == "StatefulPartitionedCall") {
    const FuncAttr* f = n.find_attr<FuncAttr>("f");
    return f ? f->name : std::string();
  }
  return library.by_name.contains(n.op) ? n.op : std::string();
}

// Types of the values of one named output or input of a function's signature; invalid where the call does not state them.
std::vector<DType> types_of(const proto::OpDef::ArgDef& arg, const AttrMap& attrs) {
  if (!arg.type_list_attr().empty()) {
    const AttrList* list = find_attr<AttrList>(attrs, arg.type_list_attr());
    return list ? list->types : std::vector<DType>{DType::invalid};
  }
  const DType* bound = arg.type_attr().empty() ? nullptr : find_attr<DType>(attrs, arg.type_attr());
  const int64_t* count = arg.number_attr().empty() ? nullptr : find_attr<int64_t>(attrs, arg.number_attr());
  if (count && (*count < 0 || *count > 65535)) throw Error("", "argument " + arg.name() + " repeats too often");
  return std::vector<DType>(count ? static_cast<size_t>(*count) : 1, bound ? *bound : static_cast<DType>(arg.type()));
}

template <class Args>
std::vector<DType> types_of_all(const Args& args, const AttrMap& attrs) {
  std::vector<DType> all;
  for (const auto& arg : args)
    for (DType t : types_of(arg, attrs)) all.push_back(t);
  return all;
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
        slot += static_cast<int>(types_of(arg, n.attrs).size());
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
  std::vector<DType> types;  // of the outputs
  std::vector<NodeId> controls, nodes;
};

// The call's attributes, which bind the function's own.
AttrMap bindings(const Node& call, const proto::FunctionDef& f) {
  AttrMap attrs = call.attrs;
  for (const auto& [key, value] : decode_attrs(f.attr())) attrs.emplace(key, value);
  if (const FuncAttr* func = find_attr<FuncAttr>(call.attrs, "f"); func && func->attrs)
    for (const auto& [key, value] : *func->attrs) attrs.insert_or_assign(key, value);
  return attrs;
}

class Body {
 public:
  Body(Graph& g, const Node& call, const proto::FunctionDef& f, const Library& library)
      : g_(g), call_(call), f_(f), library_(library), attrs_(bindings(call, f)) {}

  // Nodes that read nothing of the body wait for what the call waits for, and for `anchor` (-1: nothing).
  Inlined inlined(NodeId anchor) {
    bind_arguments();
    for (const auto& n : f_.node_def()) add(n);
    for (const auto& n : f_.node_def()) connect(n, anchor);
    Inlined result;
    for (const auto& [name, id] : made_) result.nodes.push_back(id);
    result.types = types_of_all(f_.signature().output_arg(), attrs_);
    for (const auto& arg : f_.signature().output_arg()) {
      auto it = f_.ret().find(arg.name());
      if (it == f_.ret().end()) throw Error("", "function " + f_.signature().name() + " does not return \"" + arg.name() + "\"");
      result.outputs.push_back(resolve(it->second));
    }
    for (const auto& [name, target] : f_.control_ret())
      if (auto it = made_.find(target); it != made_.end()) result.controls.push_back(it->second);
    return result;
  }

 private:
  void bind_arguments() {
    size_t next = 0;
    for (const auto& arg : f_.signature().input_arg())
      for (size_t i = types_of(arg, attrs_).size(); i > 0; --i) {
        if (next >= call_.inputs.size())
          throw Error("", "function " + f_.signature().name() + " needs more inputs than the call has");
        arguments_[arg.name()].push_back(call_.inputs[next++]);
      }
  }
  void add(const proto::NodeDef& n) {
    Node node;
    node.name = g_.unique_name(call_.name + "/" + n.name());
    node.op = n.op();
    node.device = n.device();
    node.attrs = bind_placeholders(decode_attrs(n.attr()), n.attr(), attrs_);
    node.attrs.erase("_class");  // names nodes of the function
    // Loops of two calls are two loops.
    if (is_control_flow_op(node.op))
      if (const std::string* frame = find_attr<std::string>(node.attrs, "frame_name"))
        node.attrs.insert_or_assign("frame_name", Attr(call_.name + "/" + *frame));
    made_[n.name()] = g_.add(std::move(node));
  }
  void connect(const proto::NodeDef& n, NodeId anchor) {
    Node& node = g_.node(made_[n.name()]);
    bool first = true;
    for (const std::string& ref : n.input()) {
      if (ref.starts_with("^")) {
        if (auto it = made_.find(ref.substr(1)); it != made_.end()) {
          node.controls.push_back(it->second);
          first = false;
        }
      } else {
        node.inputs.push_back(resolve(ref));
        first = first && arguments_.contains(ref.substr(0, ref.find(':')));
      }
    }
    if (!first) return;
    node.controls.insert(node.controls.end(), call_.controls.begin(), call_.controls.end());
    if (anchor >= 0 && node.inputs.empty()) node.controls.push_back(anchor);
  }
  Value resolve(const std::string& ref) const {
    const size_t first = ref.find(':');
    const std::string name = ref.substr(0, first);
    if (auto it = arguments_.find(name); it != arguments_.end()) {
      const size_t index =
          first == std::string::npos ? 0 : static_cast<size_t>(std::strtol(ref.c_str() + ref.rfind(':') + 1, nullptr, 10));
      if (index < it->second.size()) return it->second[index];
    } else if (auto m = made_.find(name); m != made_.end()) {
      const size_t second = first == std::string::npos ? first : ref.find(':', first + 1);
      const std::string output =
          first == std::string::npos ? "" : ref.substr(first + 1, second == std::string::npos ? second : second - first - 1);
      const int index = second == std::string::npos ? 0 : static_cast<int>(std::strtol(ref.c_str() + second + 1, nullptr, 10));
      return {m->second, flat_slot(g_.node(m->second), output, index, library_)};
    }
    throw Error("", "function " + f_.signature().name() + " refers to \"" + ref + "\", which does not exist");
  }

  Graph& g_;
  const Node& call_;
  const proto::FunctionDef& f_;
  const Library& library_;
  const AttrMap attrs_;
  std::map<std::string, std::vector<Value>> arguments_;
  std::map<std::string, NodeId> made_;
};

std::vector<FuncAttr> branches_of(const Node& n) {
  std::vector<FuncAttr> functions;
  const auto it = n.attrs.find("branches");
  proto::AttrValue value;
  if (it == n.attrs.end() || !it->second.wire() || !value.ParseFromString(*it->second.wire())) return functions;
  for (const auto& f : value.list().func()) functions.push_back({f.name(), std::make_shared<AttrMap>(decode_attrs(f.attr()))});
  return functions;
}

// Names of the functions that an encoded attribute refers to.
void functions_in(const proto::AttrValue& value, std::set<std::string>& names) {
  if (value.has_func()) names.insert(value.func().name());
  for (const auto& f : value.list().func()) names.insert(f.name());
}

void functions_in(const Node& n, std::set<std::string>& names) {
  names.insert(n.op);
  for (const auto& [key, attr] : n.attrs) {
    proto::AttrValue value;
    if (const FuncAttr* f = attr.get<FuncAttr>())
      names.insert(f->name);
    else if (attr.wire() && value.ParseFromString(*attr.wire()))
      functions_in(value, names);
  }
}

// What the nodes still call, and what that calls.
std::string needed_library(const Graph& graph, const Library& library) {
  std::set<std::string> names;
  for (NodeId id : graph.ids()) functions_in(graph.node(id), names);
  proto::FunctionDefLibrary kept;
  std::vector<std::string> open(names.begin(), names.end());
  std::set<std::string> seen;
  while (!open.empty()) {
    const std::string name = open.back();
    open.pop_back();
    const auto it = library.by_name.find(name);
    if (it == library.by_name.end() || !seen.insert(name).second) continue;
    std::set<std::string> called;
    for (const auto& n : it->second->node_def()) {
      called.insert(n.op());
      for (const auto& [key, value] : n.attr()) functions_in(value, called);
    }
    open.insert(open.end(), called.begin(), called.end());
  }
  for (const auto& f : library.message.function())
    if (seen.contains(f.signature().name())) *kept.add_function() = f;
  for (const auto& gradient : library.message.gradient())
    if (seen.contains(gradient.function_name())) *kept.add_gradient() = gradient;
  return kept.function_size() ? kept.SerializeAsString() : std::string();
}

// A function that TensorFlow runs compiled alone: some of what it may hold has no other kernel.
bool must_compile(const Node& call, const proto::FunctionDef& f) {
  const auto it = f.attr().find("_XlaMustCompile");
  return call.attr_or("_XlaMustCompile", false) || (it != f.attr().end() && it->second.b());
}

class Inliner {
 public:
  Inliner(Graph& graph, const Library& library, const std::set<std::string>& kept) : g_(graph), library_(library), kept_(kept) {}

  int run() {
    for (bool again = true; again;) {
      again = false;
      for (NodeId id : g_.ids()) again = step(id) || again;
    }
    return replaced_;
  }
  // Nodes of functions that must be compiled, by the function.
  const std::map<NodeId, std::string>& compiled() const { return compiled_; }

 private:
  bool step(NodeId id) {
    const Node call = g_.node(id);
    const std::string where = node_text(call);
    const std::string name = called_function(call, library_);
    const auto it = library_.by_name.find(name);
    const bool control = is_functional_control(call);
    if (!control && (it == library_.by_name.end() || kept_.contains(name))) return false;
    if (depth_[id] > 64 || replaced_ > 100000)
      throw Error(where, "the function calls itself", "recursive functions cannot be inlined");
    const int first_new = g_.capacity();
    try {
      if (control)
        lower(id, call);
      else
        inline_call(id, *it->second);
    } catch (const Error& e) {
      throw e.within(where);
    }
    for (int made = first_new; made < g_.capacity(); ++made) depth_[made] = depth_[id] + 1;
    // What a compiled function calls is compiled with it.
    if (const auto outer = compiled_.find(id); outer != compiled_.end())
      for (int made = first_new; made < g_.capacity(); ++made) compiled_.emplace(made, outer->second);
    ++replaced_;
    return true;
  }

  void lower(NodeId id, const Node& call) {
    std::vector<DType> types;
    if (!call.op.ends_with("While"))
      types.push_back(call.op.ends_with("Case") ? DType::i32 : call.attr_or("Tcond", DType::boolean));
    const AttrList rest = call.attr_or(call.op.ends_with("While") ? "T" : "Tin", AttrList{});
    types.insert(types.end(), rest.types.begin(), rest.types.end());
    gather_inputs(g_, id, types);
    DType condition = DType::boolean;
    if (const FuncAttr* f = find_attr<FuncAttr>(call.attrs, "cond"))
      if (const auto it = library_.by_name.find(f->name);
          it != library_.by_name.end() && it->second->signature().output_arg_size() > 0) {
        const auto found = types_of(it->second->signature().output_arg(0), f->attrs ? *f->attrs : AttrMap{});
        if (!found.empty() && found[0] != DType::invalid) condition = found[0];
      }
    lower_functional_control(g_, id, branches_of(call), condition);
  }

  void inline_call(NodeId id, const proto::FunctionDef& f) {
    const NodeId anchor = gather_inputs(g_, id, types_of_all(f.signature().input_arg(), bindings(g_.node(id), f)));
    const Node call = g_.node(id);
    const Inlined body = Body(g_, call, f, library_).inlined(anchor);
    if (must_compile(call, f))
      for (NodeId made : body.nodes) compiled_.emplace(made, f.signature().name());
    const bool typed = body.types.size() == body.outputs.size() &&
                       std::find(body.types.begin(), body.types.end(), DType::invalid) == body.types.end();
    if (!typed || body.controls.empty() || body.outputs.size() < 2)
      for (size_t slot = 1; slot < body.outputs.size(); ++slot) g_.replace_uses({id, static_cast<int>(slot)}, body.outputs[slot]);
    // The call itself stays as an Identity of its outputs, so that its names and control edges stay.
    Node& n = g_.node(id);
    n.attrs.clear();
    if (body.outputs.empty()) {
      n.op = "NoOp";
      n.inputs.clear();
    } else {
      n.op = "Identity";
      n.inputs = {body.outputs[0]};
      n.attrs.emplace("T", body.types.empty() || body.types[0] == DType::invalid ? DType::f32 : body.types[0]);
      AttrList types;
      types.types = body.types;
      if (body.outputs.size() > 1 && typed) keep_all(g_, id, body.outputs, types, body.controls);
    }
    n.controls.insert(n.controls.end(), body.controls.begin(), body.controls.end());
  }

  Graph& g_;
  const Library& library_;
  const std::set<std::string>& kept_;
  std::map<NodeId, int> depth_;
  std::map<NodeId, std::string> compiled_;
  int replaced_ = 0;
};

// Functions that hold ops with no kernel but the compiled one, as far as this program knows.
std::set<std::string> only_compiled(const std::map<NodeId, std::string>& compiled, const Graph& g) {
  std::set<std::string> functions;
  for (const auto& [id, function] : compiled) {
    if (!g.alive(id)) continue;
    const Node& n = g.node(id);
    if (!find_op(n.op) || is_channels_first(n)) functions.insert(function);
  }
  return functions;
}

}  // namespace

int inline_functions(Graph& graph, InlineFor purpose) {
  if (graph.library.empty()) return 0;
  Library library;
  if (!library.message.ParseFromString(graph.library)) throw Error("graph", "the function library cannot be read");
  for (const auto& f : library.message.function()) library.by_name[f.signature().name()] = &f;
  std::set<std::string> kept;
  while (true) {
    Graph result = graph;
    Inliner inliner(result, library, kept);
    const int replaced = inliner.run();
    if (purpose == InlineFor::tensorflow && !inliner.compiled().empty()) {
      std::set<std::string> more = only_compiled(inliner.compiled(), result);
      if (more.empty()) {
        std::set<NodeId> convolutions;
        for (const auto& [id, function] : inliner.compiled()) convolutions.insert(id);
        for (NodeId id : split_groups(result, convolutions)) more.insert(inliner.compiled().at(id));
      }
      if (!more.empty()) {
        kept.insert(more.begin(), more.end());
        continue;
      }
    }
    result.library = needed_library(result, library);
    graph = std::move(result);
    return replaced;
  }
}

std::map<std::string, int> ops_in_functions(const Graph& graph) {
  std::map<std::string, int> ops;
  proto::FunctionDefLibrary library;
  if (!library.ParseFromString(graph.library)) throw Error("graph", "the function library cannot be read");
  for (const auto& f : library.function())
    for (const auto& n : f.node_def()) ++ops[n.op()];
  return ops;
}

}  // namespace cytodet::graph
