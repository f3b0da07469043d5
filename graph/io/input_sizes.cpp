#include "graph/io/input_sizes.h"

#include <algorithm>

#include "core/error.h"
#include "core/suggest.h"
#include "graph/ir/endpoints.h"

namespace cytodet::graph {

Shape sized_shape(const std::string& input, const std::optional<Shape>& known, const Shape& stated) {
  if (!known) return stated;
  bool fits = known->size() == stated.size();
  for (size_t d = 0; fits && d < stated.size(); ++d) fits = (*known)[d] < 0 || (*known)[d] == stated[d];
  if (!fits)
    throw UsageError("--input " + input, "its shape is to be " + to_string(stated) + ", but the graph has " + to_string(*known),
                     "only sizes that the graph leaves open can be stated");
  return stated;
}

void check_input_names(const InputSizes& sizes, const std::vector<std::string>& inputs) {
  for (const auto& [name, shape] : sizes)
    if (std::find(inputs.begin(), inputs.end(), name) == inputs.end())
      throw UsageError("--input " + name, "the graph has no input of this name", suggest(name, inputs));
}

void set_input_sizes(Graph& graph, const InputSizes& sizes) {
  check_input_names(sizes, find_inputs(graph));
  for (const auto& [name, stated] : sizes) {
    Node& n = graph.node(graph.require(name));
    const ShapeAttr* shape = n.find_attr<ShapeAttr>("shape");
    // TensorFlow writes no dimensions also where it knows none.
    const bool open = !shape || !shape->known_rank || shape->dims.empty();
    n.attrs.insert_or_assign("shape",
                             ShapeAttr{true, sized_shape(name, open ? std::nullopt : std::optional(shape->dims), stated)});
  }
}

}  // namespace cytodet::graph
