#include "pipeline/profile/layers.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <numeric>
#include <thread>

#include "core/parallel.h"
#include "core/settings.h"
#include "core/timing.h"

namespace cytodet::pipeline {
namespace {

void measure(Runner& runner, LayerTable& table, int rounds) {
  runner.run();
  std::vector<std::vector<double>> by_step(table.steps.size());
  std::vector<double> whole;
  for (int r = 0; r < rounds; ++r) {
    std::vector<double> ms;
    runner.run_timed(ms);
    for (size_t i = 0; i < ms.size(); ++i) by_step[i].push_back(ms[i]);
    Stopwatch watch;
    runner.run();
    whole.push_back(watch.ms());
  }
  for (std::vector<double>& ms : by_step) {
    table.min_ms.push_back(*std::min_element(ms.begin(), ms.end()));
    table.ms.push_back(median(std::move(ms)));
  }
  table.run_ms = median(whole);
}

// What an entry of either table says beside its name.
Json figures(const LayerSum& s, double total_ms, const Peak& peak) {
  double ms = std::max(s.ms, 1e-9);
  return {{"ms", s.ms},
          {"share", s.ms / total_ms},
          {"macs", s.macs},
          {"int8_macs", s.int8_macs},
          {"bf16_macs", s.bf16_macs},
          {"bytes", s.bytes},
          {"gmacs_per_s", static_cast<double>(s.macs) / ms / 1e6},
          {"gb_per_s", static_cast<double>(s.bytes) / ms / 1e6},
          {"share_of_peak", ideal_ms(s, peak) / ms}};
}

constexpr const char* kHeading = "       ms  share      MMAC        MB   GMAC/s     GB/s   peak  ";

std::string figures_text(const Json& j) {
  char text[160];
  double macs = j["macs"].get<double>();
  std::snprintf(text, sizeof text, "%9.3f %5.1f%% %9.2f %9.3f %8.1f %8.2f %5.1f%%  ", j["ms"].get<double>(),
                100 * j["share"].get<double>(), macs / 1e6, j["bytes"].get<double>() / 1e6, j["gmacs_per_s"].get<double>(),
                j["gb_per_s"].get<double>(), 100 * j["share_of_peak"].get<double>());
  return text;
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

}  // namespace

double LayerTable::total_ms() const { return std::accumulate(ms.begin(), ms.end(), 0.0); }
double LayerTable::total_min_ms() const { return std::accumulate(min_ms.begin(), min_ms.end(), 0.0); }

void LayerSum::add(const StepInfo& info, double step_ms) {
  ++steps;
  ms += step_ms;
  macs += info.macs;
  int8_macs += info.int8_macs;
  bf16_macs += info.bf16_macs;
  bytes += info.bytes;
}

LayerTable measure_layers(Runner& runner, const Peak& peak, int rounds, bool pin) {
  LayerTable table;
  table.steps = runner.plan().steps();
  table.rounds = rounds;
  table.peak = peak;
  std::exception_ptr problem;
  std::thread([&] {
    ScopedAffinity pinned(pin ? cpus_of_stream(0, 1, peak.threads) : std::vector<int>{});
    try {
      measure(runner, table, rounds);
    } catch (...) {
      problem = std::current_exception();
    }
  }).join();
  if (problem) std::rethrow_exception(problem);
  return table;
}

std::map<std::string, LayerSum> kinds_of(const LayerTable& table) {
  std::map<std::string, LayerSum> kinds;
  for (size_t i = 0; i < table.steps.size(); ++i) kinds[table.steps[i].kernel].add(table.steps[i], table.ms[i]);
  return kinds;
}

LayerSum sum_of(const LayerTable& table) {
  LayerSum sum;
  for (size_t i = 0; i < table.steps.size(); ++i) sum.add(table.steps[i], table.ms[i]);
  return sum;
}

double ideal_ms(const LayerSum& work, const Peak& peak) {
  auto at = [](int64_t n, double gmacs) { return n > 0 && gmacs > 0 ? static_cast<double>(n) / gmacs / 1e6 : 0; };
  return at(work.int8_macs, peak.int8_gmacs) + at(work.bf16_macs, peak.bf16_gmacs) +
         at(work.macs - work.int8_macs - work.bf16_macs, peak.f32_gmacs);
}

Json layers_json(const LayerTable& table) {
  const double total = table.total_ms();
  LayerSum sum = sum_of(table);
  Json j{{"rounds", table.rounds},
         {"total_ms", total},
         {"total_min_ms", table.total_min_ms()},
         {"run_ms", table.run_ms},
         {"share_of_peak", ideal_ms(sum, table.peak) / total},
         {"layers", Json::array()},
         {"kinds", Json::array()}};
  for (size_t i = 0; i < table.steps.size(); ++i) {
    const StepInfo& s = table.steps[i];
    LayerSum one;
    one.add(s, table.ms[i]);
    Json row{{"name", s.name}, {"op", s.op}, {"kernel", s.kernel}, {"shape", s.shape}, {"min_ms", table.min_ms[i]}};
    if (!s.reason.empty()) row["reason"] = s.reason;
    row.update(figures(one, total, table.peak));
    j["layers"].push_back(std::move(row));
  }
  std::map<std::string, LayerSum> kinds = kinds_of(table);
  std::vector<std::pair<std::string, LayerSum>> slowest(kinds.begin(), kinds.end());
  std::stable_sort(slowest.begin(), slowest.end(), [](const auto& a, const auto& b) { return a.second.ms > b.second.ms; });
  for (const auto& [kernel, kind] : slowest) {
    Json row{{"kernel", kernel}, {"steps", kind.steps}};
    row.update(figures(kind, total, table.peak));
    j["kinds"].push_back(std::move(row));
  }
  return j;
}

std::string layers_text(const LayerTable& table) {
  Json j = layers_json(table);
  std::string text = std::string(kHeading) + padded("kernel", 30) + padded("shape", 18) + "node\n";
  for (const Json& l : j["layers"])
    text += figures_text(l) + padded(l["kernel"].get<std::string>(), 30) + padded(to_string(l["shape"].get<Shape>()), 18) +
            l["name"].get<std::string>() + "\n";
  text += "\n" + std::string(kHeading) + padded("kernel", 30) + "steps\n";
  for (const Json& k : j["kinds"])
    text += figures_text(k) + padded(k["kernel"].get<std::string>(), 30) + std::to_string(k["steps"].get<int>()) + "\n";
  text += figures_text(figures(sum_of(table), table.total_ms(), table.peak)) + padded("all", 30) +
          std::to_string(table.steps.size()) + "\n";
  char line[200];
  std::snprintf(line, sizeof line,
                "medians of %d rounds; the least of each step sum to %.3f ms; a run whose steps are not timed takes %.3f ms\n",
                table.rounds, table.total_min_ms(), table.run_ms);
  text += line;
  return text + plain_steps_text(table.steps);
}

std::string plain_steps_text(const std::vector<StepInfo>& steps) {
  std::string text;
  for (const StepInfo& s : steps)
    if (!s.reason.empty()) text += "plain step " + s.name + " (" + s.op + "): " + s.reason + "\n";
  return text;
}

Json peak_json(const Peak& p) {
  auto rate = [](double gmacs, const std::string& instruction) -> Json {
    if (instruction.empty()) return nullptr;
    return {{"gmacs_per_s", gmacs}, {"instruction", instruction}};
  };
  return {{"threads", p.threads},
          {"int8", rate(p.int8_gmacs, p.int8_instruction)},
          {"bf16", rate(p.bf16_gmacs, p.bf16_instruction)},
          {"f32", rate(p.f32_gmacs, p.f32_instruction)},
          {"copy_gb_per_s", p.copy_gbs}};
}

std::string peak_text(const Peak& p) {
  auto rate = [](const char* kind, double gmacs, const std::string& instruction) {
    char text[120];
    if (instruction.empty())
      std::snprintf(text, sizeof text, "%s not on this CPU, ", kind);
    else
      std::snprintf(text, sizeof text, "%s %.0f GMAC/s (%s), ", kind, gmacs, instruction.c_str());
    return std::string(text);
  };
  char copy[60];
  std::snprintf(copy, sizeof copy, "copy %.1f GB/s\n", p.copy_gbs);
  return "peak of " + std::to_string(p.threads) + (p.threads == 1 ? " thread: " : " threads: ") +
         rate("int8", p.int8_gmacs, p.int8_instruction) + rate("bf16", p.bf16_gmacs, p.bf16_instruction) +
         rate("f32", p.f32_gmacs, p.f32_instruction) + copy;
}

}  // namespace cytodet::pipeline
