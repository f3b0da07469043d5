#include "graph/inspect.h"

#include <algorithm>

#include "core/error.h"
#include "core/join.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "graph/summarize.h"

namespace cytodet::graph {
namespace {

int64_t product(const Shape& s, size_t from = 0) {
  int64_t n = 1;
  for (size_t i = from; i < s.size(); ++i) n *= s[i];
  return n;
}

bool is_layer(const Node& n) {
  static const char* const kLayers[] = {
      "Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2", "MatMul"};
  return std::any_of(std::begin(kLayers), std::end(kLayers), [&](const char* op) { return n.op == op; }) ||
         n.op.starts_with("BatchMatMul");
}

// A value's shape, with 1 for an unknown number of images; nothing where another size is not known.
std::optional<Shape> shape_of_one_image(const Facts& facts, Value v) {
  std::optional<Shape> s = facts.of(v).shape;
  if (s && !s->empty() && (*s)[0] < 0) (*s)[0] = 1;
  return s && is_static(*s) ? s : std::nullopt;
}

// The filter's shape where it has as many dimensions as the op's filters have.
std::optional<Shape> filter_shape(const Node& n, const Facts& facts) {
  const std::optional<Shape> f = shape_of_one_image(facts, n.inputs[1]);
  return f && f->size() == (n.op.starts_with("Conv3D") ? 5u : 4u) ? f : std::nullopt;
}

// Multiplications for one element of a value of as many channels as the filter's last dimension.
int64_t macs_of_element(const Shape& filter) { return product(filter) / std::max<int64_t>(1, filter.back()); }

int64_t convolution_macs(const Node& n, const Facts& facts, const Shape& out) {
  const std::optional<Shape> f = filter_shape(n, facts);
  if (!f) return 0;
  return product(out) * (n.op == "DepthwiseConv2dNative" ? (*f)[0] * (*f)[1] : macs_of_element(*f));
}

int64_t deconvolution_macs(const Node& n, const Facts& facts) {
  if (n.inputs.size() < 3) return 0;
  const std::optional<Shape> f = filter_shape(n, facts), gradient = shape_of_one_image(facts, n.inputs[2]);
  return f && gradient ? product(*gradient) * macs_of_element(*f) : 0;
}

int64_t matmul_macs(const Node& n, const Facts& facts, const Shape& out) {
  const std::optional<Shape> a = shape_of_one_image(facts, n.inputs[0]);
  const bool transposed = n.attr_or("transpose_a", n.attr_or("adj_x", false));
  return a && a->size() >= 2 ? product(out) * (*a)[a->size() - (transposed ? 2 : 1)] : 0;
}

// Multiply-accumulates of a node from the facts of its inputs and output; 0 when something is unknown.
int64_t macs_of(const Node& n, const Facts& facts, NodeId id) {
  const std::optional<Shape> out = shape_of_one_image(facts, {id, 0});
  if (!out || n.inputs.size() < 2) return 0;
  if (n.op == "Conv2D" || n.op == "Conv3D" || n.op == "DepthwiseConv2dNative") return convolution_macs(n, facts, *out);
  if (n.op == "Conv2DBackpropInput" || n.op == "Conv3DBackpropInputV2") return deconvolution_macs(n, facts);
  if (n.op == "MatMul" || n.op.starts_with("BatchMatMul")) return matmul_macs(n, facts, *out);
  return 0;
}

std::map<Value, Fact> known_shapes(const Graph& graph, const std::map<std::string, Shape>& shapes) {
  std::map<Value, Fact> known;
  for (const auto& [name, shape] : shapes) {
    Value v = graph.value(name);
    known[v] = {graph.node(v.node).attr_or("dtype", DType::f32), shape, {}};
  }
  return known;
}

GraphWork sum_of(const Graph& graph, const Facts& facts) {
  GraphWork work;
  for (NodeId id : graph.ids()) {
    const int64_t macs = macs_of(graph.node(id), facts, id);
    work.macs += macs;
    work.layers_unsized += macs == 0 && is_layer(graph.node(id));
  }
  return work;
}

}  // namespace

// Calls are replaced by the functions' bodies in a copy; a body that cannot be looked into is not counted.
GraphWork work_of(const Graph& graph, const std::map<std::string, Shape>& shapes) {
  const std::map<Value, Fact> known = known_shapes(graph, shapes);
  if (!graph.library.empty()) try {
      Graph whole = graph;
      inline_functions(whole);
      return sum_of(whole, Facts(whole, known));
    } catch (const Error&) {
    }
  return sum_of(graph, Facts(graph, known));
}

InspectReport inspect(const Graph& graph, const std::map<std::string, Shape>& shapes) {
  InspectReport r;
  Facts facts(graph, known_shapes(graph, shapes));
  std::map<std::string, int> counts;
  for (NodeId id : graph.topological_order()) {
    const Node& n = graph.node(id);
    ++counts[n.op];
    InspectNode node{n.name, n.op, {}, {}, macs_of(n, facts, id)};
    for (Value v : n.inputs) node.inputs.push_back(graph.name_of(v));
    for (NodeId c : n.controls) node.inputs.push_back("^" + graph.node(c).name);
    for (int s = 0; s < std::max(1, facts.outputs(id)); ++s) {
      const Fact& f = facts.of({id, s});
      node.shapes.push_back(f.dtype == DType::invalid ? "?" : name_of(f.dtype) + " " + (f.shape ? to_string(*f.shape) : "?"));
    }
    r.control_edges += static_cast<int64_t>(n.controls.size());
    if (const Tensor* t = graph.constant(id)) r.const_parameters += t->size();
    if (n.op == "Variable" || n.op == "VariableV2" || n.op == "VarHandleOp") r.variables.push_back(n.name);
    if (n.op == "Placeholder") {
      r.inputs.push_back(n.name);
      r.input_lines.push_back(input_line(n));
    }
    r.nodes.push_back(std::move(node));
  }
  const GraphWork work = graph.library.empty() ? sum_of(graph, facts) : work_of(graph, shapes);
  r.macs = work.macs;
  r.layers_unsized = work.layers_unsized;
  r.outputs = find_outputs(graph);
  for (const std::string& name : r.outputs)
    r.output_lines.push_back("(name=" + name + ", op=" + graph.node(graph.find(name)).op + ")");
  r.op_counts = most_frequent_first(counts);
  return r;
}

std::string to_text(const InspectReport& r, const std::string& graph_path, bool structure) {
  std::string text = found_line(r.input_lines, "possible ", "inputs") + found_line(r.variables, "", "variables") +
                     found_line(r.output_lines, "possible ", "outputs") +
                     parameters_line(r.const_parameters, r.variable_parameters, r.control_edges) + ops_line(r.op_counts);
  text += "Multiply-accumulates per batch of one: " + std::to_string(r.macs) + " (" + short_count(r.macs) + ")";
  if (r.layers_unsized)
    text += ", without " + std::to_string(r.layers_unsized) + " layers whose sizes are not known (give --shape)";
  text += "\n";
  text += "To use with tensorflow/tools/benchmark:benchmark_model try these arguments:\n";
  text += "bazel run tensorflow/tools/benchmark:benchmark_model -- --graph=" + graph_path +
          " --show_flops --input_layer=" + join(r.inputs, ",") + " --output_layer=" + join(r.outputs, ",") + "\n";
  if (structure)
    for (const InspectNode& n : r.nodes)
      text += n.name + " (" + n.op + "): [" + join(n.inputs, ", ") + "], " + join(n.shapes, ", ") +
              (n.macs ? ", macs=" + std::to_string(n.macs) : "") + "\n";
  return text;
}

}  // namespace cytodet::graph
