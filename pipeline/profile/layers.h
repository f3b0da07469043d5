// Time per step of a network: every step of a Plan against what the machine can do at most.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "core/peak.h"
#include "exec/runtime/plan.h"

namespace cytodet::pipeline {

struct LayerTable {
  std::vector<StepInfo> steps;
  std::vector<double> ms;      // per step, median over the rounds
  std::vector<double> min_ms;  // per step, least of the rounds: what other work on the machine did not lengthen
  double run_ms = 0;           // of a whole run without timing its steps, median
  int rounds = 0;
  Peak peak;  // with the network's threads

  double total_ms() const;  // sum of ms
  double total_min_ms() const;
};

// Rounds of a timed and an untimed run in turn, on a thread of its own that is pinned when asked.
LayerTable measure_layers(Runner& runner, const Peak& peak, int rounds, bool pin);

// Sums over steps of the same kernel, or over all.
struct LayerSum {
  int steps = 0;
  double ms = 0;
  int64_t macs = 0, int8_macs = 0, bf16_macs = 0, bytes = 0;
  void add(const StepInfo& info, double step_ms);
};
std::map<std::string, LayerSum> kinds_of(const LayerTable& table);
LayerSum sum_of(const LayerTable& table);

// Milliseconds that the multiply-accumulates take at the peak: those on codes at its int8 rate, those on bfloat16 numbers at its
// bf16 rate, the rest at f32's.
double ideal_ms(const LayerSum& work, const Peak& peak);

// Keys: rounds, total_ms, total_min_ms, run_ms, share_of_peak, layers [{name, op, kernel, shape, min_ms, ms, share, macs,
// int8_macs, bf16_macs, bytes, gmacs_per_s, gb_per_s, share_of_peak}], kinds [{kernel, steps, then as layers}].
Json layers_json(const LayerTable& table);
std::string layers_text(const LayerTable& table);
// A line for each step without a kernel, with the reason.
std::string plain_steps_text(const std::vector<StepInfo>& steps);

Json peak_json(const Peak& peak);
std::string peak_text(const Peak& peak);

}  // namespace cytodet::pipeline
