#include "pipeline/import/describe_network.h"

#include <algorithm>

#include "core/error.h"
#include "graph/io/file_kind.h"
#include "graph/io/onnx/onnx.h"
#include "graph/io/read_network.h"
#include "graph/ir/endpoints.h"
#include "graph/ir/op.h"

namespace cytodet::pipeline {
namespace {

Port port_of(const Graph& graph, const Facts& facts, const std::string& name) {
  const Fact& fact = facts.of(graph.value(name));
  Port p{name, fact.dtype, fact.shape.value_or(Shape{}), fact.shape.has_value()};
  return p;
}

bool is_kind(const std::string& path, ReadableKind wanted) {
  const std::optional<FileKind> kind = kind_at(path);
  return kind && kind->readable == wanted;
}

// Sizes of images that the graph leaves open, as the user states them and as read_network() takes them.
InputSizes open_sizes(const Graph& graph, bool channels_first, const ImportAnswers& answers) {
  InputSizes sizes;
  if (!answers.width || !answers.height) return sizes;
  const Facts facts(graph, {});
  for (const std::string& name : find_inputs(graph)) {
    const Port p = port_of(graph, facts, name);
    if (!p.is_rank(4) || (p.dim(1) >= 0 && p.dim(2) >= 0) || (p.dim(3) != 3 && p.dim(3) != -1)) continue;
    const int64_t batch = std::max<int64_t>(p.dim(0), 1);
    sizes[name] =
        channels_first ? Shape{batch, 3, *answers.height, *answers.width} : Shape{batch, *answers.height, *answers.width, 3};
  }
  return sizes;
}

}  // namespace

NetworkDescription describe_network(const std::string& path, const ImportAnswers& answers) {
  const bool onnx = is_kind(path, ReadableKind::onnx);
  Graph graph = read_network(path);
  if (const InputSizes sizes = open_sizes(graph, onnx, answers); !sizes.empty()) graph = read_network(path, sizes);
  NetworkDescription d;
  try {
    const Facts facts(graph, {});
    d.lite = is_kind(path, ReadableKind::tflite);
    for (const std::string& name : find_inputs(graph)) d.inputs.push_back(port_of(graph, facts, name));
    for (const std::string& name : find_outputs(graph)) d.outputs.push_back(port_of(graph, facts, name));
    for (const NodeId id : graph.ids()) ++d.ops[graph.node(id).op];
  } catch (const Error& e) {
    throw e.within(path);
  }
  if (onnx) d.metadata = onnx_metadata(path);
  return d;
}

}  // namespace cytodet::pipeline
