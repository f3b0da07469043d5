#include "graph/summarize.h"

#include <algorithm>
#include <cstdio>

#include "core/join.h"
#include "core/shortest_number.h"
#include "graph/io/tensorflow/graph_def.h"

namespace cytodet::graph {
namespace {

std::string type_name(DType t) {
  return t == DType::f32 ? "float" : t == DType::f64 ? "double" : t == DType::f16 ? "half" : name_of(t);
}

std::string escaped(char c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '"':
    case '\'':
    case '\\':
      return std::string("\\") + c;
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && byte < 0x7f) return std::string(1, c);
  char octal[8];
  std::snprintf(octal, sizeof octal, "\\%03o", static_cast<unsigned>(byte));
  return octal;
}

std::string escaped(const std::string& bytes) {
  std::string text;
  for (char c : bytes) text += escaped(c);
  return text;
}

std::string element_text(const Tensor& t, int64_t i) {
  if (t.dtype() == DType::string) return escaped(t.strings()[static_cast<size_t>(i)]);
  if (t.dtype() == DType::f64) return tensorflow_text(t.as_double(i));
  if (is_floating(t.dtype())) return tensorflow_text(static_cast<float>(t.as_double(i)));
  if (t.dtype() == DType::u64) return std::to_string(t.data<uint64_t>()[i]);
  return std::to_string(t.as_int(i));
}

// Rows in brackets, up to a number of values.
class Values {
 public:
  Values(const Tensor& t, int64_t limit) : t_(t), limit_(limit) {}
  std::string text() {
    if (t_.rank() == 0) return element_text(t_, 0);
    dimension(0);
    return text_ + (t_.size() > limit_ ? "..." : "");
  }

 private:
  void dimension(int d) {
    if (next_ >= limit_) return;
    const int64_t n = t_.dim(d);
    if (d + 1 == t_.rank()) return row(d, n);
    for (int64_t i = 0; i < n; ++i) {
      const bool open = next_ < limit_;
      if (!open) return;
      text_ += "[";
      dimension(d + 1);
      text_ += "]";
    }
  }
  void row(int d, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      if (next_ >= limit_) {
        if (d != 0) text_ += "...";
        return;
      }
      if (i > 0) text_ += " ";
      text_ += element_text(t_, next_++);
    }
  }

  const Tensor& t_;
  const int64_t limit_;
  int64_t next_ = 0;
  std::string text_;
};

bool is_variable_op(const Node& n) { return n.op == "Variable" || n.op == "VariableV2"; }

DType dtype_attr(const Node& n) { return n.attr_or("dtype", DType::invalid); }

bool is_unlikely_output(const Node& n) { return n.op == "Const" || n.op == "Assign" || n.op == "NoOp" || n.op == "Placeholder"; }

std::vector<std::string> lines_of(const Graph& g, const std::vector<NodeId>& ids) {
  std::vector<std::string> lines;
  for (NodeId id : ids) lines.push_back(input_line(g.node(id)));
  return lines;
}

struct Counts {
  int64_t constants = 0, variables = 0, controls = 0;
  std::map<std::string, int> devices, ops;
};

Counts counts_of(const Graph& g) {
  Counts c;
  c.ops = ops_in_functions(g);
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    ++c.ops[n.op];
    c.controls += static_cast<int64_t>(n.controls.size());
    if (!n.device.empty()) ++c.devices[n.device];
    if (const Tensor* t = g.constant(id)) c.constants += t->size();
  }
  return c;
}

std::string counts_text(const Graph& g) {
  const Counts c = counts_of(g);
  std::string text = parameters_line(c.constants, c.variables, c.controls);
  for (const auto& [device, count] : c.devices)
    text +=
        (device == c.devices.begin()->first ? "" : ", ") + std::to_string(count) + " nodes assigned to device '" + device + "'";
  if (!c.devices.empty()) text += "\n";
  return text + ops_line(most_frequent_first(c.ops));
}

std::string benchmark_text(const Graph& g, const std::string& path, const std::vector<NodeId>& inputs,
                           const std::vector<std::string>& outputs) {
  std::vector<std::string> names, types, shapes;
  for (NodeId id : inputs) {
    const Node& n = g.node(id);
    const ShapeAttr* shape = n.find_attr<ShapeAttr>("shape");
    std::vector<std::string> dims;
    if (shape && shape->known_rank)
      for (int64_t d : shape->dims) dims.push_back(std::to_string(d));
    names.push_back(n.name);
    types.push_back(type_name(dtype_attr(n)));
    shapes.push_back(join(dims, ","));
  }
  return "To use with tensorflow/tools/benchmark:benchmark_model try these arguments:\nbazel run "
         "tensorflow/tools/benchmark:benchmark_model -- --graph=" +
         path + " --show_flops --input_layer=" + join(names, ",") + " --input_layer_type=" + join(types, ",") +
         " --input_layer_shape=" + join(shapes, ":") + " --output_layer=" + join(outputs, ",") + "\n";
}

std::string structure_text(const Graph& g) {
  std::string text;
  for (NodeId id : g.topological_order()) {
    const Node& n = g.node(id);
    std::vector<std::string> inputs;
    for (Value v : n.inputs) inputs.push_back(g.name_of(v));
    for (NodeId c : n.controls) inputs.push_back("^" + g.node(c).name);
    text += n.name + " (" + n.op + "): [" + join(inputs, ", ") + "]";
    if (const Tensor* t = g.constant(id)) text += ", value=" + tensor_text(*t);
    text += "\n";
  }
  return text;
}

}  // namespace

std::string summary_type(DType t) { return type_name(t) + "(" + std::to_string(static_cast<int>(t)) + ")"; }

std::string short_count(int64_t n) {
  static constexpr struct {
    int64_t unit;
    char letter;
  } kUnits[] = {{1000000000000, 'T'}, {1000000000, 'B'}, {1000000, 'M'}, {1000, 'k'}};
  for (const auto& [unit, letter] : kUnits) {
    if (n < unit) continue;
    char text[32];
    std::snprintf(text, sizeof text, "%.2f%c", static_cast<double>(n) / static_cast<double>(unit), letter);
    return text;
  }
  return std::to_string(n);
}

std::string input_line(const Node& node) {
  return "(name=" + node.name + ", type=" + summary_type(dtype_attr(node)) + ", shape=" + summary_shape(node) + ")";
}

std::string found_line(const std::vector<std::string>& entries, const std::string& what, const std::string& plural) {
  if (entries.empty()) return "No " + plural + " spotted.\n";
  return "Found " + std::to_string(entries.size()) + " " + what + plural + ": " + join(entries, " ") + " \n";
}

std::string parameters_line(int64_t constants, int64_t variables, int64_t control_edges) {
  return "Found " + std::to_string(constants) + " (" + short_count(constants) + ") const parameters, " +
         std::to_string(variables) + " (" + short_count(variables) + ") variable parameters, and " +
         std::to_string(control_edges) + " control_edges\n";
}

OpCounts most_frequent_first(const std::map<std::string, int>& ops) {
  OpCounts counts(ops.begin(), ops.end());
  std::stable_sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return counts;
}

std::string ops_line(const OpCounts& ops) {
  std::vector<std::string> words;
  for (const auto& [op, count] : ops) words.push_back(std::to_string(count) + " " + op);
  return "Op types used: " + join(words, ", ") + "\n";
}

std::string summary_shape(const Node& node) {
  const ShapeAttr* s = node.find_attr<ShapeAttr>("shape");
  return !s ? "None" : s->known_rank ? to_string(s->dims) : "<unknown>";
}

std::string tensor_text(const Tensor& t, int64_t max_values) {
  const int64_t limit = std::min(max_values, t.size());
  return "Tensor<type: " + type_name(t.dtype()) + " shape: " + to_string(t.shape()) +
         " values: " + (t.size() == 0 ? "" : Values(t, limit).text()) + ">";
}

std::string summary(const Graph& g, const std::string& graph_path, bool structure) {
  const Consumers consumers(g);
  std::vector<NodeId> inputs, variables;
  std::vector<std::string> outputs, output_lines;
  for (NodeId id : g.ids()) {
    const Node& n = g.node(id);
    if (n.op == "Placeholder") inputs.push_back(id);
    if (is_variable_op(n)) variables.push_back(id);
    if (!consumers.of(id).empty() || !consumers.controls_of(id).empty() || is_unlikely_output(n)) continue;
    outputs.push_back(n.name);
    output_lines.push_back("(name=" + n.name + ", op=" + n.op + ")");
  }
  std::string text = found_line(lines_of(g, inputs), "possible ", "inputs") +
                     found_line(lines_of(g, variables), "", "variables") + found_line(output_lines, "possible ", "outputs") +
                     counts_text(g);
  inputs.insert(inputs.end(), variables.begin(), variables.end());
  return text + benchmark_text(g, graph_path, inputs, outputs) + (structure ? structure_text(g) : "");
}

}  // namespace cytodet::graph
