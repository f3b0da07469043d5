#include "graph/ir/validate.h"

#include <algorithm>

#include "core/error.h"
#include "graph/ir/frames.h"

namespace cytodet::graph {
namespace {

struct Needed {
  const char* op;
  size_t inputs;  // at least
  std::vector<const char*> attrs;
};

const std::vector<Needed>& needed() {
  static const std::vector<Needed> all = {
      {"Switch", 2, {"T"}}, {"Merge", 1, {"T", "N"}},    {"Enter", 1, {"T", "frame_name"}},
      {"Exit", 1, {"T"}},   {"NextIteration", 1, {"T"}}, {"LoopCond", 1, {}},
  };
  return all;
}

std::string missing_in(const Node& n) {
  for (const Needed& entry : needed()) {
    if (n.op != entry.op) continue;
    if (n.inputs.size() < entry.inputs) return node_text(n) + " has " + std::to_string(n.inputs.size()) + " inputs";
    for (const char* attr : entry.attrs)
      if (!n.has_attr(attr)) return node_text(n) + " lacks attribute \"" + attr + "\"";
    if (n.has_attr("T") && n.attr_or("T", DType::invalid) == DType::invalid) return node_text(n) + " has no type";
    if (n.op == "Merge" && n.attr_or("N", int64_t{0}) != static_cast<int64_t>(n.inputs.size()))
      return node_text(n) + " has " + std::to_string(n.inputs.size()) + " inputs, but its attribute N says " +
             std::to_string(n.attr_or("N", int64_t{0}));
    if (n.op == "Enter" && n.attr_or<std::string>("frame_name", "").empty()) return node_text(n) + " has no frame_name";
  }
  return {};
}

}  // namespace

std::string problem_in(const Graph& graph) {
  for (NodeId id : graph.ids())
    if (is_control_flow_op(graph.node(id).op))
      if (std::string problem = missing_in(graph.node(id)); !problem.empty()) return problem;
  try {
    return Frames(graph).problem();
  } catch (const Error& e) {
    return e.what();  // no order: a cycle
  }
}

}  // namespace cytodet::graph
