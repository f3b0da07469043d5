#include "pipeline/profile/compare_modes.h"

#include <algorithm>
#include <cstdio>

#include "core/cpu.h"
#include "core/error.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "core/timing.h"
#include "exec/runtime/partitioned_plan.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/io/tflite/write/write_tflite.h"
#include "graph/passes/pass.h"
#include "pipeline/quantize/fallback_search.h"
#include "pipeline/quantize/int8_search.h"
#include "pipeline/quantize/quantize_modes.h"
#include "pipeline/report/svg.h"
#include "quant/sensitivity.h"
#include "quant/sqnr.h"

namespace cytodet::pipeline {
namespace {

constexpr int kWarmUpRuns = 3;
constexpr const char* kFloatMode = "float";

std::vector<int> usual_threads() {
  std::vector<int> threads;
  const int all = std::max(1, usable_cpus());
  for (int t = 1; t < all; t *= 2) threads.push_back(t);
  threads.push_back(all);
  return threads;
}

double inference_ms(const Graph& graph, PlanOptions plan, const CalibrationData& data, int threads, int rounds) {
  plan.threads = threads;
  Runner runner(Plan::compile(graph, plan));
  data.feed(0, runner);
  std::vector<double> ms;
  for (int i = 0; i < rounds + kWarmUpRuns; ++i) {
    Stopwatch watch;
    runner.run();
    if (i >= kWarmUpRuns) ms.push_back(watch.ms());
  }
  return core::median(std::move(ms));
}

// What is run of a file: optimized as whoever reads it does.
Graph as_read(const QuantizationTarget& target, Graph graph) {
  PassOptions passes;
  passes.interface = Interface{target.interface.inputs, network_outputs(target.graph, target.plan)};
  run_passes(graph, passes);
  inline_functions(graph);
  return graph;
}

class Comparer {
 public:
  Comparer(QuantizationTarget& target, const CompareModesOptions& options)
      : target_(target), o_(options), sample_(data_of(target, options.quantize.images, 1)) {
    if (!o_.truth.empty() || (target_.model && classifies(target_)))
      measured_ = accuracy_measure(target_, o_.quantize, o_.truth, o_.detection);
    const HeldBack samples = held_back(target_, o_.quantize.images, o_.quantize.max_images, 4);
    sqnr_.emplace(target_.graph, target_.plan, samples.data);
  }

  CompareModes run() {
    CompareModes c{target_.path,
                   o_.lite ? ".tflite" : ".pb",
                   measured_ ? measured_->name : "",
                   measured_ ? measured_->images.size() : 0,
                   o_.threads.empty() ? usual_threads() : o_.threads,
                   {},
                   {}};
    if (std::string warning = raw_pixels_in(target_, sample_); !warning.empty()) c.warnings.push_back(std::move(warning));
    for (const std::string& mode : o_.modes) {
      ModeRow row;
      row.mode = mode;
      if (!o_.quiet) std::fprintf(stderr, "%s\n", mode.c_str());
      try {
        measure(c, row);
      } catch (const Error& e) {
        row = {mode, e.what(), 0, -1, 0, {}};
      }
      c.rows.push_back(std::move(row));
    }
    return c;
  }

 private:
  struct Made {
    int64_t bytes;
    Graph graph;
  };

  Made made(const std::string& mode) {
    const std::vector<std::string> outputs = network_outputs(target_.graph, target_.plan);
    if (mode == kFloatMode) {
      LiteOptions lite;
      lite.shapes = target_.plan.input_shapes;
      const std::string bytes = o_.lite ? encode_tflite(target_.graph, outputs, lite) : encode_graph(target_.graph);
      return {static_cast<int64_t>(bytes.size()), target_.graph};
    }
    const ModeRequest request{quantize_mode_named(mode), DType::u8, o_.quantize.layers.per_channel, o_.lite};
    if (needs_ranges(request.mode) && ranges_.values.empty()) ranges_ = ranges_of_all_values(target_, o_.quantize, o_.quiet);
    if (needs_ranges(request.mode) && !o_.lite && !int8_) {
      const QuantizeOptions layers = layers_of(target_, o_.quantize, o_.quiet);
      int8_ = make_int8(target_, ranges_, o_.quantize, layers, true).file;
    }
    if (request.mode == QuantizeMode::int8 && !o_.lite)
      return {static_cast<int64_t>(encode_graph(*int8_).size()), as_read(target_, *int8_)};
    ModeFile file = make_mode(target_, request, ranges_, int8_ ? &*int8_ : nullptr, o_.lite ? "model.tflite" : "model.pb");
    return {static_cast<int64_t>(file.bytes.size()), as_read(target_, std::move(file.graph))};
  }

  void measure(const CompareModes& c, ModeRow& row) {
    const Made m = made(row.mode);
    row.bytes = m.bytes;
    row.sqnr_db = row.mode == kFloatMode ? kExactDb : sqnr_->of(m.graph);
    for (int t : c.threads) row.ms.push_back(inference_ms(m.graph, target_.plan, sample_, t, o_.rounds));
    if (measured_) row.accuracy = measured_->accuracy(m.graph);
  }

  QuantizationTarget& target_;
  const CompareModesOptions& o_;
  const CalibrationData sample_;
  std::optional<Measured> measured_;
  std::optional<OutputSqnr> sqnr_;
  Ranges ranges_;
  std::optional<Graph> int8_;
};

std::string number_text(const char* form, double value) {
  char text[64];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

// A line of cells, the first as a heading.
std::string table_line(const std::string& head, const std::vector<std::string>& cells) {
  std::string text = head + std::string(head.size() < 12 ? 12 - head.size() : 1, ' ');
  for (const std::string& cell : cells) text += core::right_aligned(cell, 11);
  return text + "\n";
}

}  // namespace

CompareModes compare_modes(QuantizationTarget& target, const CompareModesOptions& options) {
  return Comparer(target, options).run();
}

std::string to_text(const CompareModes& c) {
  std::vector<std::string> names, sizes, accuracies, decibels;
  for (const ModeRow& row : c.rows) {
    const bool made = row.problem.empty();
    names.push_back(row.mode);
    sizes.push_back(made ? number_text("%.3f", static_cast<double>(row.bytes) / 1e6) : "-");
    accuracies.push_back(made && row.accuracy >= 0 ? number_text("%.4f", row.accuracy) : "-");
    decibels.push_back(!made ? "-" : row.mode == kFloatMode ? "exact" : number_text("%.1f", row.sqnr_db));
  }
  std::string text = "File size, MB (" + c.format + ")\n" + table_line("", names) + table_line("size", sizes) + "\n";
  text += c.figure.empty() ? "Nearness to float (accuracy needs a model file, and --truth or labelled images)\n"
                           : "Accuracy on " + std::to_string(c.images) + " images, and nearness to float\n";
  text += table_line("", names);
  if (!c.figure.empty()) text += table_line(c.figure, accuracies);
  text += table_line("dB", decibels) + "\nMilliseconds per inference\n" + table_line("threads", names);
  for (size_t t = 0; t < c.threads.size(); ++t) {
    std::vector<std::string> cells;
    for (const ModeRow& row : c.rows) cells.push_back(t < row.ms.size() ? number_text("%.3f", row.ms[t]) : "-");
    text += table_line(std::to_string(c.threads[t]), cells);
  }
  for (const ModeRow& row : c.rows)
    if (!row.problem.empty()) text += "\n" + row.mode + ": " + row.problem + "\n";
  return text;
}

Json to_json(const CompareModes& c) {
  Json j{{"model", c.model},   {"format", c.format},   {"figure", c.figure},
         {"images", c.images}, {"threads", c.threads}, {"warnings", c.warnings}};
  j["modes"] = Json::array();
  for (const ModeRow& row : c.rows) {
    Json entry{{"mode", row.mode}};
    if (!row.problem.empty()) {
      entry["problem"] = row.problem;
    } else {
      entry["bytes"] = row.bytes;
      if (row.accuracy >= 0) entry["accuracy"] = row.accuracy;
      if (row.mode != kFloatMode) entry["sqnr_db"] = row.sqnr_db;
      entry["ms"] = row.ms;
    }
    j["modes"].push_back(std::move(entry));
  }
  return j;
}

namespace {

constexpr double kPanel = 320, kPanelGap = 40, kPanelBars = 180, kPanelTop = 60;
const char* const kModeColours[] = {"#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860"};

// One panel: a bar for each value, with its number above it.
void bar_panel(Svg& svg, double x, const std::string& title, const std::vector<std::string>& names,
               const std::vector<double>& values, const char* form, int per_name) {
  svg.text({x, kPanelTop - 24}, title, "font-size=\"13\" font-weight=\"bold\"");
  double max = 1e-9;
  for (double v : values) max = std::max(max, v);
  const double width = kPanel / static_cast<double>(std::max<size_t>(1, values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t name = i / static_cast<size_t>(per_name);
    const double left = x + width * static_cast<double>(i), height = kPanelBars * std::max(0.0, values[i]) / max;
    svg.rect(left + 2, kPanelTop + kPanelBars - height, std::max(1.0, width - 4), height,
             std::string("fill=\"") + kModeColours[name % std::size(kModeColours)] + "\"",
             names[name] + ": " + number_text(form, values[i]));
    if (per_name == 1)
      svg.text({left + width / 2, kPanelTop + kPanelBars - height - 4}, number_text(form, values[i]),
               "text-anchor=\"middle\" font-size=\"10\"");
    if (i % static_cast<size_t>(per_name) == 0)
      svg.text({left + width * per_name / 2, kPanelTop + kPanelBars + 14}, names[name],
               "text-anchor=\"middle\" font-size=\"10\"");
  }
  svg.line({x, kPanelTop + kPanelBars}, {x + kPanel, kPanelTop + kPanelBars}, "stroke=\"#444\"");
}

}  // namespace

std::string to_svg(const CompareModes& c) {
  std::vector<std::string> names;
  std::vector<double> sizes, accuracies, ms;
  for (const ModeRow& row : c.rows) {
    if (!row.problem.empty()) continue;
    names.push_back(row.mode);
    sizes.push_back(static_cast<double>(row.bytes) / 1e6);
    accuracies.push_back(c.figure.empty() ? std::min(row.sqnr_db, 99.0) : std::max(0.0, row.accuracy));
    ms.insert(ms.end(), row.ms.begin(), row.ms.end());
  }
  Svg svg(3 * kPanel + 4 * kPanelGap, kPanelTop + kPanelBars + 40, Svg::Place::file, "font-family=\"sans-serif\"");
  svg.text({kPanelGap, 20}, c.model, "font-size=\"14\"");
  bar_panel(svg, kPanelGap, "File size, MB", names, sizes, "%.2f", 1);
  bar_panel(svg, 2 * kPanelGap + kPanel, c.figure.empty() ? "dB of float (99: exact)" : c.figure, names, accuracies,
            c.figure.empty() ? "%.0f" : "%.3f", 1);
  std::string threads;
  for (int t : c.threads) threads += (threads.empty() ? "" : ", ") + std::to_string(t);
  bar_panel(svg, 3 * kPanelGap + 2 * kPanel, "ms per inference, threads " + threads, names, ms, "%.2f",
            static_cast<int>(std::max<size_t>(1, c.threads.size())));
  return svg.finish();
}

}  // namespace cytodet::pipeline
