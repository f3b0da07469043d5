#include "pipeline/quantize/quantize_run.h"

#include "pipeline/quantize/fallback_search.h"
#include "pipeline/quantize/int8_search.h"

namespace cytodet::pipeline {

Quantized write_both_precisions(QuantizationTarget& target, const RunConfig& c, const std::filesystem::path& folder) {
  QuantizeSettings s = *c.quantize;
  const std::filesystem::path graph32 = folder / "fp32.pb", graph8 = folder / "int8.pb";
  check_writable(target, graph8);
  check_writable(target, graph32);
  const Ranges ranges = ranges_of(target, s, false);
  write_ranges(ranges, folder / "ranges.json");
  s.layers = layers_of(target, s, false, rounding_state(graph8));
  QuantizeOptions options = s.layers;
  if (s.max_drop >= 0) {
    const std::filesystem::path state = folder / "int8.pb.search.json";
    const Accuracy a = search_float_fallback(target, ranges, s, c.truth, c.detect, state, false);
    options.exclude_nodes.insert(options.exclude_nodes.end(), a.in_float.begin(), a.in_float.end());
    std::filesystem::remove(state);
  }
  Int8Network n = make_int8(target, ranges, s, options, false);
  if (n.ranges.method != ranges.method) write_ranges(n.ranges, folder / "ranges.json");
  write_network(target, target.graph, graph32);
  write_quantized(target, n.quantized, n.file, graph8);
  end_rounding(s.layers.moments);
  return std::move(n.quantized);
}

}  // namespace cytodet::pipeline
