#include "pipeline/profile/plan_report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "core/settings.h"

namespace cytodet::pipeline {
namespace {

struct KernelWork {
  int steps = 0;
  int64_t macs = 0;
  void add(const StepInfo& step) {
    ++steps;
    macs += step.macs;
  }
};

// The kernels, those with the most multiply-accumulates first.
std::vector<std::pair<std::string, KernelWork>> kernels_of(const std::vector<StepInfo>& steps) {
  std::map<std::string, KernelWork> work;
  for (const StepInfo& s : steps) work[s.kernel].add(s);
  std::vector<std::pair<std::string, KernelWork>> sorted(work.begin(), work.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.macs, a.second.steps) > std::pair(b.second.macs, b.second.steps);
  });
  return sorted;
}

struct Totals {
  int64_t macs = 0, int8_macs = 0, bf16_macs = 0;
};
Totals totals_of(const std::vector<StepInfo>& steps) {
  Totals t;
  for (const StepInfo& s : steps) {
    t.macs += s.macs;
    t.int8_macs += s.int8_macs;
    t.bf16_macs += s.bf16_macs;
  }
  return t;
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
  const std::vector<StepInfo> steps = plan.steps();
  const Totals t = totals_of(steps);
  Json j{
      {"steps", steps.size()},    {"plain_steps", plan.plain_steps()},   {"macs", t.macs},           {"int8_macs", t.int8_macs},
      {"bf16_macs", t.bf16_macs}, {"stream_bytes", plan.stream_bytes()}, {"kernels", Json::array()}, {"list", Json::array()}};
  for (const auto& [kernel, work] : kernels_of(steps))
    j["kernels"].push_back({{"kernel", kernel}, {"steps", work.steps}, {"macs", work.macs}});
  for (const StepInfo& s : steps) {
    Json one{{"name", s.name}, {"op", s.op}, {"kernel", s.kernel}, {"shape", s.shape}, {"macs", s.macs}};
    if (!s.reason.empty()) one["reason"] = s.reason;
    j["list"].push_back(std::move(one));
  }
  return j;
}

std::string plan_text(const Plan& plan, bool structure) {
  const std::vector<StepInfo> steps = plan.steps();
  const Totals t = totals_of(steps);
  char line[160];
  std::snprintf(line, sizeof line,
                "plan: %zu steps, %.2f million multiply-accumulates, %.1f%% of them in 8 bits; %d plain steps\n", steps.size(),
                static_cast<double>(t.macs) / 1e6, percent(t.int8_macs, t.macs), plan.plain_steps());
  std::string text = line;
  text += "kernel                              MMAC    share  steps\n";
  for (const auto& [kernel, work] : kernels_of(steps)) text += row(kernel, work.macs, t.macs, std::to_string(work.steps));
  if (structure) {
    text += "kernel                              MMAC    share  output, node\n";
    for (const StepInfo& s : steps) text += row(s.kernel, s.macs, t.macs, to_string(s.shape) + " " + s.name);
  }
  for (const StepInfo& s : steps)
    if (!s.reason.empty()) text += "plain step " + s.name + " (" + s.op + "): " + s.reason + "\n";
  return text;
}

}  // namespace cytodet::pipeline
