// Passes: named, ordered, separately switchable rewrites of a Graph that keep its meaning.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/ir/endpoints.h"

namespace cytodet::graph {

struct Pass {
  const char* name;
  const char* summary;                    // "before -> after" in one line
  bool (*run)(Graph&, const Interface&);  // true when it changed something
  bool by_default = true;
};

std::span<const Pass> all_passes();  // in the order they run
const Pass* find_pass(std::string_view name);

struct PassOptions {
  Interface interface;
  std::optional<std::vector<std::string>> only;  // run exactly these, in the table's order
  std::vector<std::string> without;              // switched off
  std::string stop_after;                        // name of the last pass to run; empty: all
  std::filesystem::path dump_dir;                // write "<nn>_<pass>.pb" after each pass; empty: none
};

// The name of the file of dump_dir behind a pass; number: from 1, in the table's order.
std::string dump_name(int number, const std::string& pass);

struct PassReport {
  std::string pass;
  bool changed = false;
  int nodes_before = 0, nodes_after = 0;
  double time_ms = 0;
};

// Runs the passes, checks the graph after each, repeats nothing by itself (a pass runs to its own fixed point).
// Unknown pass or node names are UsageErrors with the nearest known ones.
std::vector<PassReport> run_passes(Graph& graph, const PassOptions& options);

}  // namespace cytodet::graph
