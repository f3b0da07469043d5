#include "quant/graph_hash.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/hash.h"
#include "graph/passes/pass.h"

namespace cytodet::quant {
namespace {

// Every list is preceded by its length, so that no two graphs give the same bytes.
class Hasher {
 public:
  void bytes(const void* data, size_t n) { hash_.bytes(data, n); }
  template <class T>
  requires std::is_arithmetic_v<T>
  void operator()(T v) { bytes(&v, sizeof v); }
  void operator()(const std::string& s) {
    (*this)(static_cast<int64_t>(s.size()));
    bytes(s.data(), s.size());
  }
  void operator()(DType t) { (*this)(static_cast<int>(t)); }
  void operator()(const ShapeAttr& s) {
    (*this)(s.known_rank);
    (*this)(s.dims);
  }
  template <class T>
  void operator()(const std::vector<T>& items) {
    (*this)(static_cast<int64_t>(items.size()));
    for (const auto& item : items) (*this)(static_cast<const T&>(item));
  }
  void operator()(const Tensor& t) {
    (*this)(t.dtype());
    (*this)(t.shape());
    if (t.dtype() == DType::string)
      (*this)(t.strings());
    else if (t.defined())
      bytes(t.raw(), t.bytes());
  }
  void operator()(const AttrList& l) {
    (*this)(l.strings);
    (*this)(l.ints);
    (*this)(l.floats);
    (*this)(l.bools);
    (*this)(l.types);
    (*this)(l.shapes);
  }
  void operator()(const FuncAttr& f) {
    (*this)(f.name);
    if (f.attrs) (*this)(*f.attrs);
  }
  void operator()(const AttrMap& attrs) {
    (*this)(static_cast<int64_t>(attrs.size()));
    for (const auto& [key, attr] : attrs) {
      (*this)(key);
      (*this)(static_cast<int64_t>(attr.value().index()));
      if (std::holds_alternative<std::monostate>(attr.value()))
        (*this)(attr.wire() ? *attr.wire() : std::string());
      else
        std::visit([&](const auto& v) { visit(v); }, attr.value());
    }
  }
  std::string text() const { return hash_.text(); }

 private:
  void visit(std::monostate) {}
  template <class T>
  void visit(const T& v) {
    (*this)(v);
  }
  Fnv1a hash_;
};

// The nodes that the outputs need; all of them when nothing is an output.
std::vector<NodeId> needed(const Graph& graph) {
  std::vector<std::string> outputs = find_outputs(graph);
  if (outputs.empty()) return graph.ids();
  std::vector<char> seen(static_cast<size_t>(graph.capacity()), 0);
  std::vector<NodeId> open, found;
  auto visit = [&](NodeId id) {
    if (!graph.alive(id) || seen[static_cast<size_t>(id)]) return;
    seen[static_cast<size_t>(id)] = 1;
    open.push_back(id);
    found.push_back(id);
  };
  for (const std::string& name : outputs) visit(graph.find(name));
  while (!open.empty()) {
    const Node& n = graph.node(open.back());
    open.pop_back();
    for (Value v : n.inputs) visit(v.node);
    for (NodeId id : n.controls) visit(id);
  }
  return found;
}

}  // namespace

std::string graph_hash(const Graph& graph) {
  std::vector<NodeId> ids = needed(graph);
  std::sort(ids.begin(), ids.end(), [&](NodeId a, NodeId b) { return graph.node(a).name < graph.node(b).name; });
  Hasher hash;
  for (NodeId id : ids) {
    const Node& n = graph.node(id);
    hash(n.name);
    hash(n.op);
    std::vector<std::string> inputs, controls;
    for (Value v : n.inputs) inputs.push_back(graph.name_of(v));
    for (NodeId c : n.controls) controls.push_back(graph.node(c).name);
    std::sort(controls.begin(), controls.end());
    hash(inputs);
    hash(controls);
    hash(n.attrs);
  }
  hash(graph.library);
  return hash.text();
}

}  // namespace cytodet::quant
