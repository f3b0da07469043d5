#include "graph/ir/endpoints.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>

#include "graph/ir/frames.h"

namespace cytodet::graph {

std::vector<std::string> find_outputs(const Graph& graph) {
  static const char* const kNever[] = {"Const", "Assign", "NoOp", "Placeholder"};
  Consumers uses(graph);
  const Frames frames(graph);
  std::vector<std::string> names, dead_ends;
  for (NodeId id : graph.ids()) {
    const std::string& op = graph.node(id).op;
    if (!uses.of(id).empty() || !uses.controls_of(id).empty()) continue;
    if (std::any_of(std::begin(kNever), std::end(kNever), [&](const char* never) { return op == never; })) continue;
    (frames.is_inside(id) ? dead_ends : names).push_back(graph.node(id).name);
  }
  if (names.empty()) names = std::move(dead_ends);
  const std::vector<std::string>& order = graph.output_order;
  std::map<std::string_view, size_t> place;
  for (size_t i = 0; i < order.size(); ++i) place.emplace(order[i], i);
  const auto place_of = [&](const std::string& name) {
    const auto it = place.find(name);
    return it == place.end() ? order.size() : it->second;
  };
  std::stable_sort(names.begin(), names.end(),
                   [&](const std::string& a, const std::string& b) { return place_of(a) < place_of(b); });
  return names;
}

std::vector<std::string> find_inputs(const Graph& graph) {
  std::vector<std::string> names;
  for (NodeId id : graph.ids())
    if (graph.node(id).op == "Placeholder") names.push_back(graph.node(id).name);
  return names;
}

}  // namespace cytodet::graph
