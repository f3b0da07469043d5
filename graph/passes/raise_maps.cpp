// Pools, concatenations and the like of quantized values become those of floats. The largest float has the largest quantized
// value, so that an op that only compares or moves values gives the same result before they are quantized.
#include <algorithm>
#include <cmath>

#include "graph/passes/raise_int8.h"

namespace cytodet::graph::raise {
namespace {

struct MapEntry {
  const char* op;
  const char* floats;             // the op on floats
  std::vector<const char*> kept;  // attributes
  size_t inputs;                  // in front of the range
  bool of_quantized = false;      // it computes: its float form reads fake-quantized floats
};

const std::vector<MapEntry>& map_entries() {
  static const std::vector<MapEntry> all = {
      {"QuantizedMaxPool", "MaxPool", {"ksize", "strides", "padding"}, 1},
      {"QuantizedAvgPool", "AvgPool", {"ksize", "strides", "padding"}, 1, true},
      {"QuantizedReshape", "Reshape", {"Tshape"}, 2},
      {"QuantizedRelu", "Relu", {}, 1},
      {"QuantizedRelu6", "Relu6", {}, 1},
  };
  return all;
}

bool same(const Ends& a, const Ends& b) {
  const float top = std::max(a.top(), b.top());
  return std::abs(a.low - b.low) <= 1e-5f * top && std::abs(a.high - b.high) <= 1e-5f * top;
}

constexpr const char* kNotQuantized = "its input is not of quantized values with a constant range";

bool is_concat(const Node& n) { return n.op == "QuantizedConcatV2" || n.op == "QuantizedConcat"; }

}  // namespace

//   x, y, ... ─▶ QuantizeV2 each ─▶ QuantizedConcatV2 | QuantizedConcat
// becomes
//   x, y, ... ─▶ ConcatV2 ─▶ QuantizeV2     inputs of a smaller range than the widest stay rounded to their own grid
Why Int8Rewriter::raise_concat(NodeId id) {
  const Node old = g_.node(id);
  if (old.inputs.size() < 4 || (old.inputs.size() - 1) % 3 != 0) return "it has an unusual number of inputs";
  const size_t count = (old.inputs.size() - 1) / 3, first = old.op == "QuantizedConcat" ? 1 : 0;
  const Value axis = old.inputs[first ? 0 : count];
  if (!g_.constant(axis)) return "its axis is not constant";
  float top = 0;
  std::vector<QuantizedSource> parts;
  for (size_t i = 0; i < count; ++i) {
    const auto ends = ends_of(old.inputs[1 + count + i], old.inputs[1 + 2 * count + i]);
    const auto found = ends ? quantized_source(old.inputs[first + i], *ends, old.attr_or("T", DType::quint8)) : std::nullopt;
    if (!found) return kNotQuantized;
    const QuantizedSource& c = *found;
    if (c.quant.zero_point || c.quant.is_signed != parts.emplace_back(c).quant.is_signed ||
        c.quant.is_signed != parts[0].quant.is_signed)
      return "its inputs are quantized values of several kinds";
    if (std::abs(ends->top() - c.quant.scale * static_cast<float>(c.quant.qmax())) > 1e-5f * ends->top())
      return "its inputs are of other ranges than it states";
    top = std::max(top, ends->top());
  }
  const bool is_signed = parts[0].quant.is_signed;
  const QuantParams wide{top / static_cast<float>(is_signed ? 127 : 255), 0, is_signed};
  std::vector<Value> values;
  for (const QuantizedSource& c : parts)
    values.push_back(std::abs(c.quant.scale - wide.scale) <= 1e-6f * wide.scale ? c.x : add_fake_quant(g_, c.x, c.quant));
  values.push_back(axis);
  const DType index = g_.constant(axis)->dtype();
  const Value joined = add(old.name + "/numbers", "ConcatV2", values, {{"N", static_cast<int64_t>(count)}, {"Tidx", index}});
  become_quantized(id, joined, wide, {is_signed ? -top : 0, top});
  return {};
}

//   x ─▶ QuantizeV2 ─▶ QuantizedMaxPool | QuantizedAvgPool | QuantizedReshape | QuantizedRelu | QuantizedRelu6
// becomes
//   x ─▶ MaxPool | Reshape | Relu | Relu6 ─▶ QuantizeV2
//   x ─▶ QuantizeV2 ─▶ Dequantize ─▶ AvgPool ─▶ QuantizeV2
Why Int8Rewriter::raise_map(NodeId id) {
  const Node old = g_.node(id);
  if (frames_.frame(id) != 0) return "it lies in a loop";
  if (waits(id)) return "a control input holds it";
  if (is_concat(old)) return raise_concat(id);
  const auto entry = std::find_if(map_entries().begin(), map_entries().end(), [&](const MapEntry& r) { return old.op == r.op; });
  if (entry == map_entries().end()) return "no float form of it is known";
  if (old.inputs.size() != entry->inputs + 2) return "it has an unusual number of inputs";
  const auto ends = ends_of(old.inputs[entry->inputs], old.inputs[entry->inputs + 1]);
  const DType type = old.attr_or("T", old.attr_or("Tinput", DType::quint8));
  const auto found = ends ? quantized_source(old.inputs[0], *ends, type) : std::nullopt;
  if (!found) return kNotQuantized;
  const QuantizedSource& from = *found;
  const float stated = ends->top(), own = from.quant.scale * static_cast<float>(from.quant.qmax());
  if (!same(*ends, from.ends) && (from.quant.zero_point || std::abs(stated - own) > 1e-5f * own))
    return "its input is of another range than it states";
  AttrMap attrs;
  for (const char* kept : entry->kept)
    if (auto a = old.attrs.find(kept); a != old.attrs.end()) attrs.insert(*a);
  std::vector<Value> inputs(old.inputs.begin(), old.inputs.begin() + static_cast<std::ptrdiff_t>(entry->inputs));
  inputs[0] = entry->of_quantized ? add_fake_quant(g_, from.x, from.quant) : from.x;
  become_quantized(id, add(old.name + "/numbers", entry->floats, inputs, attrs), from.quant, from.ends);
  return {};
}

}  // namespace cytodet::graph::raise
