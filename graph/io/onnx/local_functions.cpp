#include "graph/io/onnx/local_functions.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "onnx_model.pb.h"

namespace cytodet::graph::onnx {
namespace {

namespace proto = cytodet::onnx_proto;

constexpr int kMaxWithin = 32;                                       // functions in functions
constexpr int64_t kMaxNodes = 300000, kMaxBytes = int64_t{2} << 30;  // of all calls

std::string domain_of(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }
std::string text_of(const proto::FunctionProto& f) {
  return "function " + (domain_of(f.domain()).empty() ? "" : f.domain() + ".") + f.name();
}

class Expansion {
 public:
  explicit Expansion(const proto::ModelProto& model) {
    for (const auto& set : model.opset_import())
      if (domain_of(set.domain()).empty()) opset_ = set.version();
    for (const auto& f : model.functions())
      if (!functions_.emplace(Key(domain_of(f.domain()), f.name(), f.overload()), &f).second)
        throw Error(text_of(f), "is there twice", "the model is damaged");
    collect(model.graph());
    for (const auto& f : model.functions())
      for (const auto& node : f.node()) collect(node);
  }

  void run(proto::GraphProto& graph, int depth = 0) {
    proto::GraphProto expanded;
    for (auto& node : *graph.mutable_node()) {
      for (auto& a : *node.mutable_attribute())
        if (a.has_g()) run(*a.mutable_g(), depth);
      const auto it = functions_.find({domain_of(node.domain()), node.op_type(), node.overload()});
      if (it == functions_.end())
        expanded.add_node()->Swap(&node);
      else
        add_body(*it->second, node, expanded, depth);
    }
    graph.mutable_node()->Swap(expanded.mutable_node());
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // domain, name, overload
  using Names = std::map<std::string, std::string>;

  void collect(const proto::NodeProto& node) {
    taken_.insert(node.output().begin(), node.output().end());
    for (const auto& a : node.attribute())
      if (a.has_g()) collect(a.g());
  }
  void collect(const proto::GraphProto& graph) {
    for (const auto& input : graph.input()) taken_.insert(input.name());
    for (const auto& t : graph.initializer()) taken_.insert(t.name());
    for (const auto& t : graph.sparse_initializer()) taken_.insert(t.values().name());
    for (const auto& node : graph.node()) collect(node);
  }

  // What the names of a function's body are where it is called; `made`: those that are not the call's.
  static Names names_of(const proto::FunctionProto& f, const proto::NodeProto& call, const std::string& own,
                        std::vector<std::string>& made) {
    Names names;
    for (int i = 0; i < f.input_size(); ++i) names[f.input(i)] = i < call.input_size() ? call.input(i) : "";
    for (int i = 0; i < f.output_size() && i < call.output_size(); ++i)
      if (!call.output(i).empty()) names.emplace(f.output(i), call.output(i));
    for (const auto& n : f.node())
      for (const std::string& output : n.output())
        if (!output.empty() && names.emplace(output, own + "/" + output).second) made.push_back(own + "/" + output);
    return names;
  }

  static void rename(std::string& name, const Names& names) {
    if (const auto it = names.find(name); it != names.end()) name = it->second;
  }

  // Names of the function's tensors, and attributes that are those of the call, in a node and the graphs within it.
  static void bind(proto::NodeProto& node, const Names& names, const std::map<std::string, const proto::AttributeProto*>& given) {
    for (auto& name : *node.mutable_input()) rename(name, names);
    for (auto& name : *node.mutable_output()) rename(name, names);
    proto::NodeProto bound;
    for (auto& a : *node.mutable_attribute()) {
      if (a.ref_attr_name().empty()) {
        if (a.has_g())
          for (auto& inner : *a.mutable_g()->mutable_node()) bind(inner, names, given);
        if (a.has_g())
          for (auto& output : *a.mutable_g()->mutable_output()) rename(*output.mutable_name(), names);
        bound.add_attribute()->Swap(&a);
      } else if (const auto it = given.find(a.ref_attr_name()); it != given.end()) {
        auto& value = *bound.add_attribute();
        value = *it->second;
        value.set_name(a.name());
      }  // else the call leaves it out, and so does the node
    }
    node.mutable_attribute()->Swap(bound.mutable_attribute());
  }

  void add_body(const proto::FunctionProto& f, const proto::NodeProto& call, proto::GraphProto& to, int depth) {
    if (depth >= kMaxWithin)
      throw Error(text_of(f), "is called " + std::to_string(depth) + " functions deep, perhaps by itself",
                  "the model is damaged");
    for (const auto& set : f.opset_import())
      if (domain_of(set.domain()).empty() && set.version() != opset_)
        throw Error(text_of(f),
                    "is of operator set " + std::to_string(set.version()) + ", the model of " + std::to_string(opset_),
                    "inline it: onnx.inliner.inline_local_functions");
    nodes_ += f.node_size();
    bytes_ += static_cast<int64_t>(f.ByteSizeLong());  // with its constants
    if (nodes_ > kMaxNodes || bytes_ > kMaxBytes)
      throw Error(text_of(f), "is called too often: all calls become more than " + std::to_string(kMaxNodes) + " nodes or 2 GiB",
                  "the model is damaged");
    std::map<std::string, const proto::AttributeProto*> given;
    for (const auto& a : f.attribute_proto()) given.emplace(a.name(), &a);
    for (const auto& a : call.attribute()) given.insert_or_assign(a.name(), &a);
    std::string own = !call.name().empty() ? call.name() : call.output_size() ? call.output(0) : call.op_type();
    std::vector<std::string> made;
    Names names = names_of(f, call, own, made);
    const auto is_taken = [&](const std::string& name) { return taken_.contains(name); };
    for (const std::string stem = own; own.empty() || used_.contains(own) || std::any_of(made.begin(), made.end(), is_taken);) {
      own = stem + "_" + std::to_string(++suffix_);
      made.clear();
      names = names_of(f, call, own, made);
    }
    used_.insert(own);
    taken_.insert(made.begin(), made.end());
    proto::GraphProto body;
    for (const auto& n : f.node()) {
      auto& node = *body.add_node();
      node = n;
      bind(node, names, given);
      if (!node.name().empty()) node.set_name(own + "/" + node.name());
    }
    for (int i = 0; i < f.output_size() && i < call.output_size();
         ++i) {  // an input that is an output, or one that is given twice
      if (call.output(i).empty()) continue;
      const auto it = names.find(f.output(i));
      if (it == names.end() || it->second == call.output(i)) continue;
      auto& same = *body.add_node();
      same.set_op_type("Identity");
      same.add_input(it->second);
      same.add_output(call.output(i));
    }
    run(body, depth + 1);
    for (auto& node : *body.mutable_node()) to.add_node()->Swap(&node);
  }

  int64_t opset_ = 0, nodes_ = 0, bytes_ = 0, suffix_ = 0;
  std::set<std::string> used_, taken_;  // names of calls; of tensors
  std::map<Key, const proto::FunctionProto*> functions_;
};

}  // namespace

void expand_local_functions(proto::ModelProto& model) {
  if (model.functions_size() > 0) Expansion(model).run(*model.mutable_graph());
}

}  // namespace cytodet::graph::onnx
