#include "graph/io/tflite/translate.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/join.h"
#include "graph/io/node_name.h"
#include "graph/io/tflite/op_table.h"
#include "graph/io/tflite/quant_grid.h"
#include "graph/quantized/quant_nodes.h"

namespace cytodet::graph::lite {
namespace {

// Operators may share constants, and make new ones of them: the constants and names of a graph are together at most this many
// times the file's size (4-bit values as floats, permuted, are 16 times theirs) and kSmallConstants bytes.
constexpr int64_t kMaxConstants = 32, kSmallConstants = int64_t{64} << 20;
constexpr int kCustom = static_cast<int>(schema::BuiltinOperator::CUSTOM);

bool is_of(const LiteOp& op, schema::BuiltinOperator code) { return op.code == static_cast<int>(code); }

const CustomEntry* custom_entry(const LiteOp& op) {
  for (const CustomEntry& entry : custom_entries())
    if (op.code == kCustom && op.custom == entry.name) return &entry;
  return nullptr;
}

// Whether an operator reads or changes what a model remembers from one run to the next.
bool is_of_variables(const LiteOp& op) {
  return is_of(op, schema::BuiltinOperator::VAR_HANDLE) || is_of(op, schema::BuiltinOperator::READ_VARIABLE) ||
         is_of(op, schema::BuiltinOperator::ASSIGN_VARIABLE) || is_of(op, schema::BuiltinOperator::CALL_ONCE);
}

std::string name_of_tensor(const LiteGraph& graph, const std::vector<int>& tensors) {
  return tensors.empty() || tensors[0] < 0 ? "without outputs" : graph.tensors[static_cast<size_t>(tensors[0])].name;
}
std::string op_text(const LiteGraph& graph, const LiteOp& op) {
  return "operator " + op.name() + " of tensor " + name_of_tensor(graph, op.outputs);
}

class Translator {
 public:
  Translator(const LiteModel& model, const InputSizes& sizes)
      : model_(model), sizes_(sizes), left_(kMaxConstants * model.size + kSmallConstants) {}

  Graph run() {
    const LiteGraph& g = model_.graphs[0];
    for (const LiteGraph& graph : model_.graphs) refuse_missing(graph);
    if (g.outputs.empty()) throw Error("", "has no outputs", "the file is damaged");
    Numbers known(g.tensors.size());
    std::vector<NodeId> kept = add_inputs(g, known);
    run_ops(g, known);
    b_.scope.clear();
    for (int output : g.outputs) {
      kept.push_back(add_output(g.tensors[static_cast<size_t>(output)], number_of(g, output, known)));
      b_.graph.output_order.push_back(b_.graph.node(kept.back()).name);
    }
    for (const auto& [name, variable] : variables_) {
      if (!variable.assigned) continue;
      kept.push_back(variable.input);
      kept.push_back(add_named(node_name(name + "_next"), variable.stored));
    }
    b_.graph.sweep(kept);
    return std::move(b_.graph);
  }

 private:
  struct Known {
    Value number;              // floats of a quantized tensor, else the values themselves
    std::optional<Grid> grid;  // on which the numbers are
  };
  using Numbers = std::vector<std::optional<Known>>;  // by tensor
  struct Variable {
    std::optional<Tensor> start;  // stored values
    NodeId input = -1;
    Value stored;
    bool assigned = false;
  };

  static void refuse_missing(const LiteGraph& graph) {
    std::map<std::string, std::string> missing;
    for (const LiteOp& op : graph.ops)
      if (!is_read(op)) missing.emplace(op.name(), op.name() + " (tensor " + name_of_tensor(graph, op.outputs) + ")");
    if (missing.empty()) return;
    std::vector<std::string> names;
    for (const auto& [name, text] : missing) names.push_back(text);
    const bool sparse = missing.contains("DENSIFY");
    throw Error("", (names.size() == 1 ? "operator " + names[0] + " is" : "operators " + listed(names) + " are") + " not read",
                sparse ? "its weights are stored sparse: convert the network with dense ones" : "convert the model without");
  }

  std::vector<NodeId> add_inputs(const LiteGraph& g, Numbers& known) {
    std::vector<std::string> names;
    std::vector<NodeId> nodes;
    for (int index : g.inputs) {
      const LiteTensor& t = g.tensors[static_cast<size_t>(index)];
      names.push_back(node_name(t.name));
      if (size_of(t.dtype) == 0) throw Error("input " + t.name, "is of a type that is not read");
      Shape shape = t.shape;
      if (const auto it = sizes_.find(names.back()); it != sizes_.end())
        shape = sized_shape(names.back(), t.signature ? t.signature : std::optional(t.shape), it->second);
      const Value v = b_.add_as(b_.graph.unique_name(names.back()), "Placeholder", {},
                                {{"dtype", t.dtype}, {"shape", ShapeAttr{true, shape}}});
      nodes.push_back(v.node);
      b_.scope = names.back();
      known[static_cast<size_t>(index)] = of_stored(t, v);
    }
    check_input_names(sizes_, names);
    return nodes;
  }

  Known of_stored(const LiteTensor& t, Value stored) {
    if (!t.is_quantized()) return {stored, {}};
    const Grid grid = grid_of(t);
    return {numbers(b_, stored, grid), grid};
  }

  // A constant when it is first read.
  const Known& known_of(const LiteGraph& g, int index, Numbers& known) {
    std::optional<Known>& k = known[static_cast<size_t>(index)];
    if (k) return *k;
    const LiteTensor& t = g.tensors[static_cast<size_t>(index)];
    if (t.data.empty() && elements(t.shape) != 0)
      throw Error("", "reads tensor " + t.name + ", which no operator before it makes", "the file is damaged");
    const std::string scope = b_.scope;
    b_.scope = node_name(t.name);
    if (t.is_quantized()) {
      k = Known{b_.named_constant(b_.scope, numbers_of(t)), {}};
      if (t.quant.scale.size() == 1) k->grid = grid_of(t);
    } else {
      k = Known{b_.named_constant(b_.scope, t.stored()), {}};
    }
    b_.scope = scope;
    return *k;
  }
  Value number_of(const LiteGraph& g, int index, Numbers& known) { return known_of(g, index, known).number; }

  Value rounded_of(const LiteGraph& g, int index, Numbers& known) {
    const LiteTensor& t = g.tensors[static_cast<size_t>(index)];
    known_of(g, index, known);
    Known& k = *known[static_cast<size_t>(index)];
    if (t.is_quantized() && t.dtype != DType::i16 && !b_.constant(k.number) && !fake_quant_value(b_.graph, k.number))
      k.number = rounded(b_, k.number, grid_of(t));
    return k.number;
  }

  void run_ops(const LiteGraph& g, Numbers& known) {
    for (const LiteOp& op : g.ops) {
      try {
        run_op(g, op, known);
        charge_new_nodes();
      } catch (const Error& e) {
        if (e.where().starts_with("operator ")) throw;  // of a graph that CALL_ONCE runs
        throw e.within(op_text(g, op));
      }
    }
  }

  void charge(size_t bytes) {
    left_ -= static_cast<int64_t>(bytes);
    if (left_ < 0)
      throw Error("", "makes constants that are together far larger than the file", "convert the model without such constants");
  }
  void charge_new_nodes() {
    for (; charged_ < b_.graph.capacity(); ++charged_) {
      if (!b_.graph.alive(charged_)) continue;
      charge(b_.graph.node(charged_).name.size());
      if (const Tensor* value = b_.graph.constant(charged_)) charge(value->bytes());
    }
  }

  void run_op(const LiteGraph& g, const LiteOp& op, Numbers& known) {
    const std::string own = node_name(name_of_tensor(g, op.outputs));
    b_.scope = own;
    if (is_of_variables(op)) return run_variable(g, op, known);
    const LiteEntry* entry = find_lite_entry(op.code);
    const NodeId before = b_.graph.capacity();
    Call call(b_, permuted_, g, op,
              [&](int tensor, bool rounded) { return rounded ? rounded_of(g, tensor, known) : number_of(g, tensor, known); });
    entry ? entry->translate(call) : custom_entry(op)->translate(call);
    const std::optional<Grid> grid = entry && entry->moves && call.keeps_grid ? common_grid(g, op, known) : std::nullopt;
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      if (!call.out[i]) throw Error("", "gives no output " + std::to_string(i), "such outputs are not read");
      const LiteTensor& t = g.tensors[static_cast<size_t>(op.outputs[i])];
      std::optional<Known>& made = known[static_cast<size_t>(op.outputs[i])];
      if (made) throw Error("", "makes tensor " + t.name + ", which is made before", "the file is damaged");
      Value v = *call.out[i];
      if (i == 0 && v.node >= before && b_.graph.alive(v.node) && b_.graph.find(own) < 0) b_.graph.rename(v.node, own);
      made = on_grid(t, v, grid);
    }
  }

  // On which the numbers of all inputs are.
  std::optional<Grid> common_grid(const LiteGraph& g, const LiteOp& op, const Numbers& known) const {
    std::optional<Grid> common;
    for (int index : op.inputs) {
      if (index < 0) continue;
      const LiteTensor& t = g.tensors[static_cast<size_t>(index)];
      const std::optional<Known>& k = known[static_cast<size_t>(index)];
      if (!t.is_quantized()) continue;
      if (!k || !k->grid || (common && !common->equals(*k->grid))) return {};
      common = k->grid;
    }
    return common;
  }

  Known on_grid(const LiteTensor& t, Value v, const std::optional<Grid>& already) {
    if (!t.is_quantized()) return {v, {}};
    const Grid grid = grid_of(t);
    if (b_.type(v) != DType::f32) throw Error("", "makes tensor " + t.name + " of no numbers, though it has a scale");
    return {already && already->equals(grid) ? v : rounded(b_, v, grid), grid};
  }

  // Variables. The tensor of a handle stands for the name of what it holds.
  Variable& variable_of(int handle, const Numbers& known) {
    const auto it = handles_.find({&known, handle});
    if (it == handles_.end()) throw Error("", "reads no variable", "the file is damaged");
    return variables_[it->second];
  }

  void run_variable(const LiteGraph& g, const LiteOp& op, Numbers& known) {
    const auto at = [](const std::vector<int>& list, size_t i) {
      if (i >= list.size() || list[i] < 0) throw Error("", "lacks an input or output", "the file is damaged");
      return list[i];
    };
    if (is_of(op, schema::BuiltinOperator::VAR_HANDLE)) {
      const auto* options = op.raw->builtin_options_as_VarHandleOptions();
      const std::string name = options && options->shared_name() ? options->shared_name()->str() : "";
      if (name.empty()) throw Error("", "names no variable", "the file is damaged");
      handles_.insert_or_assign(std::pair(static_cast<const Numbers*>(&known), at(op.outputs, 0)), name);
    } else if (is_of(op, schema::BuiltinOperator::CALL_ONCE)) {
      call_once(op);
    } else if (is_of(op, schema::BuiltinOperator::ASSIGN_VARIABLE)) {
      assign(g, at(op.inputs, 1), variable_of(at(op.inputs, 0), known), known);
    } else {
      const int to = at(op.outputs, 0), handle = at(op.inputs, 0);
      Variable& variable = variable_of(handle, known);  // refuses a tensor that is no handle
      known[static_cast<size_t>(to)] = read(g.tensors[static_cast<size_t>(to)], handles_.at({&known, handle}), variable);
    }
  }

  // A graph that puts constants into variables: it runs once, however many operators name it.
  void call_once(const LiteOp& op) {
    const auto* options = op.raw->builtin_options_as_CallOnceOptions();
    const int index = options ? options->init_subgraph_index() : -1;
    if (index < 1 || index >= static_cast<int>(model_.graphs.size()) || starting_)
      throw Error("", "runs graph " + std::to_string(index) + " of " + std::to_string(model_.graphs.size()),
                  "the file is damaged");
    if (!started_.insert(index).second) return;
    starting_ = true;
    const LiteGraph& g = model_.graphs[static_cast<size_t>(index)];
    Numbers known(g.tensors.size());
    run_ops(g, known);
    starting_ = false;
    std::erase_if(handles_, [&](const auto& h) { return h.first.first == &known; });
  }

  void assign(const LiteGraph& g, int from, Variable& variable, Numbers& known) {
    const LiteTensor& t = g.tensors[static_cast<size_t>(from)];
    const Value number = number_of(g, from, known);
    if (starting_) {
      const Tensor* value = b_.constant(number);
      if (!value || variable.input >= 0) throw Error("", "does not put a constant into a variable", "such models are not read");
      if (t.data.empty() && t.is_quantized())
        throw Error("", "computes what a variable holds at first", "such models are not read");
      if (t.is_quantized()) charge(t.data.size());
      variable.start = t.is_quantized() ? t.stored() : *value;
      return;
    }
    variable.stored = t.is_quantized() ? stored_values(b_, number, grid_of(t)) : number;
    variable.assigned = true;
  }

  Known read(const LiteTensor& t, const std::string& name, Variable& v) {
    if (starting_) throw Error("", "reads a variable before the model runs", "such models are not read");
    if (v.input < 0 && !v.assigned) {
      if (!v.start) v.start = Tensor(t.dtype, t.shape);
      if (v.start->dtype() != t.dtype)
        throw Error("", "reads variable " + name + " as " + core::name_of(t.dtype), "the file is damaged");
      const std::string own = b_.graph.unique_name(node_name(name));
      const Value start = b_.named_constant(own + "/start", *v.start);
      v.stored =
          b_.add_as(own, "PlaceholderWithDefault", {start}, {{"dtype", t.dtype}, {"shape", ShapeAttr{true, v.start->shape()}}});
      v.input = v.stored.node;
    }
    return of_stored(t, v.stored);
  }

  NodeId add_output(const LiteTensor& t, Value number) {
    b_.scope = node_name(t.name);
    return add_named(b_.scope, t.is_quantized() ? stored_values(b_, number, grid_of(t)) : number);
  }

  // An Identity of that name; a node that has it already gives way, unless it is an input.
  NodeId add_named(const std::string& wanted, Value v) {
    const NodeId other = b_.graph.find(wanted);
    if (other >= 0 && !b_.graph.node(other).op.starts_with("Placeholder")) b_.graph.rename(other, b_.graph.unique_name(wanted));
    return b_.add_as(wanted, "Identity", {v}, {}).node;
  }

  const LiteModel& model_;
  const InputSizes& sizes_;
  Builder b_;
  int64_t left_;        // bytes of constants and names that may still be made
  NodeId charged_ = 0;  // nodes before it are counted
  PermutedWeights permuted_;
  std::set<int> started_;  // graphs that CALL_ONCE ran
  std::map<std::string, Variable> variables_;
  std::map<std::pair<const Numbers*, int>, std::string> handles_;
  bool starting_ = false;  // within CALL_ONCE
};

}  // namespace

bool is_read(const LiteOp& op) { return find_lite_entry(op.code) || custom_entry(op) || is_of_variables(op); }

Graph translate(const LiteModel& model, const InputSizes& sizes) { return Translator(model, sizes).run(); }

}  // namespace cytodet::graph::lite
