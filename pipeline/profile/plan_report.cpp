#include "pipeline/profile/plan_report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "core/settings.h"
#include "pipeline/profile/layers.h"

namespace cytodet::pipeline {
namespace {

// The steps with no time yet, so that layers.h sums their work.
LayerTable work_of(const Plan& plan) {
  LayerTable table;
  table.steps = plan.steps();
  table.ms.assign(table.steps.size(), 0);
  return table;
}

// The kernels, those with the most multiply-accumulates first.
std::vector<std::pair<std::string, LayerSum>> sorted_kinds(const LayerTable& table) {
  const std::map<std::string, LayerSum> kinds = kinds_of(table);
  std::vector<std::pair<std::string, LayerSum>> sorted(kinds.begin(), kinds.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.macs, a.second.steps) > std::pair(b.second.macs, b.second.steps);
  });
  return sorted;
}

double percent(int64_t part, int64_t all) { return all > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(all) : 0; }

std::string row(const std::string& first, int64_t macs, int64_t all, const std::string& rest) {
  char text[80];
  std::snprintf(text, sizeof text, " %10.2f %6.1f%%  ", static_cast<double>(macs) / 1e6, percent(macs, all));
  std::string line = first;
  line.resize(std::max<size_t>(28, line.size() + 1), ' ');
  return line + text + rest + "\n";
}

}  // namespace

Json plan_json(const Plan& plan) {
  const LayerTable table = work_of(plan);
  const LayerSum t = sum_of(table);
  Json j{
      {"steps", t.steps},         {"plain_steps", plan.plain_steps()},   {"macs", t.macs},           {"int8_macs", t.int8_macs},
      {"bf16_macs", t.bf16_macs}, {"stream_bytes", plan.stream_bytes()}, {"kernels", Json::array()}, {"list", Json::array()}};
  for (const auto& [kernel, work] : sorted_kinds(table))
    j["kernels"].push_back({{"kernel", kernel}, {"steps", work.steps}, {"macs", work.macs}});
  for (const StepInfo& s : table.steps) {
    Json one{{"name", s.name}, {"op", s.op}, {"kernel", s.kernel}, {"shape", s.shape}, {"macs", s.macs}};
    if (!s.reason.empty()) one["reason"] = s.reason;
    j["list"].push_back(std::move(one));
  }
  return j;
}

std::string plan_text(const Plan& plan, bool structure) {
  const LayerTable table = work_of(plan);
  const LayerSum t = sum_of(table);
  char line[160];
  std::snprintf(line, sizeof line,
                "plan: %d steps, %.2f million multiply-accumulates, %.1f%% of them in 8 bits; %d plain steps\n", t.steps,
                static_cast<double>(t.macs) / 1e6, percent(t.int8_macs, t.macs), plan.plain_steps());
  std::string text = line;
  text += "kernel                              MMAC    share  steps\n";
  for (const auto& [kernel, work] : sorted_kinds(table)) text += row(kernel, work.macs, t.macs, std::to_string(work.steps));
  if (structure) {
    text += "kernel                              MMAC    share  output, node\n";
    for (const StepInfo& s : table.steps) text += row(s.kernel, s.macs, t.macs, to_string(s.shape) + " " + s.name);
  }
  return text + plain_steps_text(table.steps);
}

}  // namespace cytodet::pipeline
