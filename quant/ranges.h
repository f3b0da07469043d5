// Ranges of values, from calibration.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::quant {

struct Range {
  float low = 0, high = 0;
  std::vector<float> channel_low, channel_high;  // per innermost channel; empty when not asked for
  std::vector<float> channel_mean;               // per innermost channel, over all images; empty when not known
};

// ranges.json
struct Ranges {
  std::string method;      // entry of the observer table
  std::string data;        // what was shown to the network
  std::string graph_hash;  // of the optimized graph whose values these are
  int64_t images = 0;
  std::map<std::string, Range> values;  // by "node" or "node:slot"
};

// Whether low and high are one value, so that there is no scale to choose. Written as "degenerate": true.
bool is_degenerate(const Range& range);

// Whether a decimal read as a double is that of a finite float: the shortest decimal of FLT_MAX lies above it.
inline bool rounds_to_float(double v) { return v < 0x1.ffffffp127 && v > -0x1.ffffffp127; }

// Throws Error: file, field, what is wrong; ranges that are not finite or upside down.
Ranges parse_ranges(std::string_view json, const std::string& where);
Ranges read_ranges(const std::filesystem::path& path);
void write_ranges(const Ranges& ranges, const std::filesystem::path& path);

}  // namespace cytodet::quant
