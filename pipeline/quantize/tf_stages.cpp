#include "pipeline/quantize/tf_stages.h"

#include <algorithm>
#include <array>

#include "core/file.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/op.h"
#include "pipeline/results/folder_manifest.h"
#include "quant/calibrate.h"

namespace cytodet::pipeline {
namespace {

// A value's name as part of a node's.
std::string flat(std::string name) {
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
}

class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : g_(graph) {}

  std::array<Value, 2> extremes(Value x) {
    const std::string name = flat(g_.name_of(x));
    if (flat_shape_.node < 0) {
      flat_shape_ = g_.add_const("eightbit_reshape_dims", Tensor::from<int32_t>({1}, {-1}));
      axis_ = g_.add_const("eightbit_reduction_dims", Tensor::from<int32_t>({1}, {0}));
    }
    const Value row =
        g_.add_new(name + "_eightbit_reshape", "Reshape", {x, flat_shape_}, {{"T", DType::f32}, {"Tshape", DType::i32}});
    const AttrMap reduce{{"T", DType::f32}, {"Tidx", DType::i32}, {"keep_dims", false}};
    return {g_.add_new(name + "_eightbit_min", "Min", {row, axis_}, reduce),
            g_.add_new(name + "_eightbit_max", "Max", {row, axis_}, reduce)};
  }

  Value printed(Value x, const std::string& name, const std::array<Value, 2>& range) {
    AttrList types;
    types.types = {DType::f32, DType::f32};
    return g_.add_new(flat(name) + "__print__", "Print", {x, range[0], range[1]},
                      {{"T", DType::f32},
                       {"U", types},
                       {"message", ";" + name + "__print__;__requant_min_max:"},
                       {"first_n", int64_t{-1}},
                       {"summarize", int64_t{1024}}});
  }

 private:
  Graph& g_;
  Value flat_shape_{-1, 0}, axis_{-1, 0};
};

}  // namespace

Graph logged(const Graph& graph) {
  Graph g = graph;
  Rewriter rewrite(g);
  const Consumers uses(graph);
  for (const std::string& name : values_of_layers(graph)) {
    const Value x = g.value(name);
    const std::vector<Consumers::Use>& readers = uses.of(x);
    if (readers.empty()) continue;
    const Value seen = rewrite.printed(x, name, rewrite.extremes(x));
    for (const Consumers::Use& use : readers) g.node(use.node).inputs[static_cast<size_t>(use.input)] = seen;
  }
  return g;
}

Graph with_dynamic_ranges(const Graph& quantized, bool log) {
  Graph g = quantized;
  Rewriter rewrite(g);
  for (NodeId id : quantized.ids()) {
    const Node& n = quantized.node(id);
    if (n.op != "QuantizeV2" || n.inputs.size() != 3 || quantized.constant(n.inputs[0])) continue;
    const std::array<Value, 2> range = rewrite.extremes(n.inputs[0]);
    const Value x = log ? rewrite.printed(n.inputs[0], quantized.name_of(n.inputs[0]), range) : n.inputs[0];
    g.node(id).inputs = {x, range[0], range[1]};
  }
  return g;
}

std::vector<std::string> stage_names() {
  std::vector<std::string> names;
  for (const char* name :
       {"fp32_optimized", "fp32_logged", "int8_dynamic_range", "int8_logged", "int8_frozen_range", "int8_final_fused"})
    names.push_back(std::string(name) + "_graph.pb");
  return names;
}

void write_stages(const Stages& stages, const std::filesystem::path& folder, const std::vector<std::string>& names) {
  make_folder(folder);
  FolderManifest manifest(folder);
  manifest.list_what_is_written();
  const auto write = [&](size_t stage, const auto& graph_of) {
    const std::string name = stage_names()[stage];
    if (std::find(names.begin(), names.end(), name) != names.end()) write_graph(graph_of(), folder / name);
  };
  write(0, [&] { return stages.fp32; });
  write(1, [&] { return logged(stages.fp32); });
  write(2, [&] { return with_dynamic_ranges(stages.frozen, false); });
  write(3, [&] { return with_dynamic_ranges(stages.frozen, true); });
  write(4, [&] { return stages.frozen; });
  write(5, [&] { return stages.fused; });
}

}  // namespace cytodet::pipeline
