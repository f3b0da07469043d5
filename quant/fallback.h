// Accuracy-driven fallback: few layers that must return to float so that accuracy drops by no more than allowed.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/json_fwd.h"

namespace cytodet::quant {

struct FallbackTrial {
  std::vector<std::string> in_float;  // sorted
  double accuracy = 0;
};
void fields(Fields& f, FallbackTrial& t);

// What a search knows so far; kept in a file, so that an interrupted search goes on where it was.
struct FallbackState {
  std::string settings;  // of everything that a trial depends on; a file with others is not used
  double float_accuracy = -1;
  std::vector<std::string> ranked;  // layers, the most harmful first; empty: not known yet
  std::vector<FallbackTrial> trials;
};
void fields(Fields& f, FallbackState& s);

// The state in the file when that was made with `settings`, else a fresh one. Throws Error when the file is broken.
FallbackState resume_fallback(const std::filesystem::path& path, const std::string& settings);
void save_fallback(const FallbackState& state, const std::filesystem::path& path);

struct FallbackOptions {
  double max_drop = 0.005;
  int max_removals = 64;                                                    // trials that take one layer back out of the set
  std::function<double(const std::vector<std::string>& in_float)> measure;  // the accuracy with these layers in float
  std::function<std::vector<std::string>()> rank;                           // asked when the state has no ranking
  std::function<void(const FallbackTrial&, bool known)> tried;              // after each trial; known: it was in the state
};

// No layer in float first. Then adds layers in their rank until the drop is met (doubling, then halving the interval), then
// leaves out those that are not needed (halves, quarters, ..., single layers, the least harmful first). All layers in float count
// as no drop. Appends its trials to `state`.
FallbackTrial search_fallback(FallbackState& state, const FallbackOptions& options);

}  // namespace cytodet::quant
