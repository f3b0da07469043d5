// bench.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/cpu.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/cli/input_shapes.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/profile/throughput.h"
#include "pipeline/profile/trace.h"

namespace cytodet::pipeline {
namespace {

struct BenchFlags {
  std::vector<std::string> shapes;
  GraphFlags graph;
  std::string model, hint = "throughput", precision = "graph", trace, svg;
  ParallelSettings asked;
  double seconds = 3;
  int rounds = 20;
  bool layers = false, scaling = false, json = false, no_pin = false;

  void add(CLI::App& app) {
    app.add_option("--model", model, "Model file (.json), graph with one beside it, or bare graph")->required();
    app.add_option("--shape", shapes, "Shape of a bare graph's input: name=1,224,224,3");
    graph.add(app, "Of a bare graph: ");
    app.add_option("--hint", hint, "What --streams and --threads are chosen for: throughput (default) or latency");
    app.add_option("--streams", asked.streams, "Networks at work at once; 0: as the hint says")->check(CLI::Range(0, 256));
    app.add_option("--threads", asked.threads, "Threads inside one network; 0: as the hint says")->check(CLI::Range(0, 256));
    app.add_option("--precision", precision, "What layers in float are computed in: graph (as they are) or bf16");
    app.add_option("--seconds", seconds, "How long to measure")->check(CLI::Range(0.1, 3600.0));
    app.add_flag("--no-pin", no_pin, "Let streams wander over the CPUs");
    app.add_flag("--scaling", scaling, "Also a table of streams and threads up to all CPUs");
    app.add_flag("--layers", layers, "Also every step's time, work and share of the machine's peak (one stream)");
    app.add_option("--rounds", rounds, "Rounds of --layers")->check(CLI::Range(1, 100000));
    app.add_option("--trace", trace, "Steps as a trace (.json) for Perfetto or chrome://tracing");
    app.add_option("--svg", svg, "Steps as a picture (.svg)");
    app.add_flag("--json", json, "JSON instead of text");
  }
};

std::string network_text(const Json& j) {
  auto number = [&](const char* key) { return j[key].get<double>(); };
  char text[500];
  std::snprintf(text, sizeof text,
                "%.2f ms/image, %.2f images/s, %.1f GMAC/s, %.1f%% of peak; latency median %.2f ms, p95 %.2f ms\n"
                "load and compile %.0f ms, %.1f MiB per stream beyond weights, %d plain steps\n",
                number("ms_per_image"), number("images_per_s"), number("gmacs_per_s"), 100 * number("share_of_peak"),
                number("latency_median_ms"), number("latency_p95_ms"), number("load_ms"), number("stream_bytes") / (1 << 20),
                j["plain_steps"].get<int>());
  return text;
}

int bench(const BenchFlags& o) {
  const bool pin = !o.no_pin, layers = o.layers || !o.trace.empty() || !o.svg.empty();
  const ParallelSettings parallel = share_cpus(o.asked, parallel_hint_named(o.hint));
  const BenchOptions options{o.model, parse_shapes(o.shapes), o.graph.interface, o.graph.changes(), precision_named(o.precision)};
  BenchNetwork network(options, parallel.streams, parallel.threads);
  Speed speed = measure_speed(network, parallel, o.seconds, cpu_sets_of(parallel, pin));
  const Peak peak = measure_peak(std::min(usable_cpus(), parallel.streams * parallel.threads));
  LayerSum work;
  for (const StepInfo& s : network.plan().steps()) work.add(s, 0);
  Json j{{"model", o.model},
         {"isa", name_of(isa())},
         {"streams", parallel.streams},
         {"threads", parallel.threads},
         {"pinned", speed.pinned},
         {"images", speed.images},
         {"images_per_s", speed.images_per_s},
         {"ms_per_image", speed.ms_per_image()},
         {"latency_median_ms", speed.latency_median_ms},
         {"latency_p95_ms", speed.latency_p95_ms},
         {"cpu_ms_per_image", speed.cpu_ms_per_image},
         {"macs", work.macs},
         {"precision", o.precision},
         {"int8_macs", work.int8_macs},
         {"bf16_macs", work.bf16_macs},
         {"gmacs_per_s", static_cast<double>(work.macs) * speed.images_per_s / 1e9},
         {"share_of_peak", ideal_ms(work, peak) / speed.ms_per_image()},
         {"peak", peak_json(peak)},
         {"load_ms", network.load_ms()},
         {"stream_bytes", network.plan().stream_bytes()},
         {"arena_bytes", network.plan().arena_bytes()},
         {"plain_steps", network.plan().plain_steps()}};
  std::string text = o.model + ", " + std::to_string(parallel.streams) + " streams x " + std::to_string(parallel.threads) +
                     " threads, " + name_of(isa()) + (speed.pinned ? ", pinned" : "") + "\n" + network_text(j) + peak_text(peak);
  if (layers) {
    Peak same = peak.threads == parallel.threads ? peak : measure_peak(parallel.threads);
    LayerTable table = measure_layers(network.runner(0), same, o.rounds, pin);
    if (o.layers) {
      j.update(layers_json(table));
      j["share_of_peak"] = ideal_ms(work, peak) / speed.ms_per_image();
      j["layers_peak"] = peak_json(same);
      text += "\n" + (same.threads == peak.threads ? "" : peak_text(same)) + layers_text(table);
    }
    if (!o.trace.empty()) write_file(o.trace, json_text(trace_json(table)));
    if (!o.svg.empty()) write_file(o.svg, flame_svg(table, o.model));
  }
  if (o.scaling) {
    std::vector<Scaling> rows = measure_scaling(options, o.seconds, pin, peak.int8_instruction);
    j["scaling"] = scaling_json(rows);
    text += "\n" + scaling_table(rows);
  }
  if (o.json) text = json_text(j);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace

std::function<int()> setup_bench(CLI::App& app) {
  auto o = std::make_shared<BenchFlags>();
  o->add(app);
  return [o] {
    OutputPlan plan;
    add_model(plan.inputs(), o->model);
    plan.add_output(o->trace, "the trace");
    plan.add_output(o->svg, "the picture of steps");
    check_outputs(plan);
    return bench(*o);
  };
}

}  // namespace cytodet::pipeline
