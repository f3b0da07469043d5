// cytodet sensitivity: what each layer costs in 8 bits.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/quantize_flags.h"
#include "pipeline/quantize/quantize_model.h"
#include "quant/sensitivity.h"

namespace cytodet::pipeline {
namespace {

std::string ranking_table(const std::vector<LayerSensitivity>& layers) {
  std::string text = "    dB  layer\n";
  for (const LayerSensitivity& l : layers) {
    char line[32];
    std::snprintf(line, sizeof line, "%6.1f  ", l.sqnr_db);
    text += line + printable(l.name) + "\n";
  }
  return text;
}

}  // namespace

std::function<int()> setup_sensitivity(CLI::App& app) {
  struct Options : QuantizeFlags {
    int max_images = 4;
    SensitivityOptions sensitivity;
  };
  auto o = std::make_shared<Options>();
  o->add(app);
  app.add_option("--max-images", o->max_images, "To compare on, evenly spaced over the sorted list; default 4")
      ->check(CLI::Range(1, 10000));
  app.add_flag("--alone-float", o->sensitivity.alone_float, "One layer in float and all others INT8, instead of one INT8");
  app.add_option("--streams", o->sensitivity.threads, "Trials at once; 0: one per core")->check(CLI::Range(0, 256));
  app.add_option("-o,--out", o->out, "Ranking (.json)");
  return [o] {
    o->finish();
    if (o->settings.images.empty()) throw UsageError("cytodet sensitivity", "needs --images DIR");
    OutputPlan plan;
    add_inputs(plan, *o);
    plan.add_output(o->out, "the ranking");
    check_outputs(plan);
    QuantizationTarget target = read_target(*o);
    const Ranges ranges = ranges_of(target, o->settings, o->quiet);
    o->sensitivity.quantize = layers_of(target, o->settings, o->quiet);
    o->sensitivity.quiet = o->quiet;
    const Quantized all = quantize_target(target, ranges, o->sensitivity.quantize);
    const OutputSqnr outputs(target.graph, target.plan, data_of(target, o->settings.images, o->max_images));
    const std::vector<LayerSensitivity> layers = sensitivity(target.graph, ranges, outputs, o->sensitivity);
    Json j{{"graph", o->graph}, {"all_int8_db", outputs.of(all.graph)}, {"outputs", Json::object()}};
    for (const auto& [name, db] : outputs.each(all.graph)) j["outputs"][name] = db;
    j["alone"] = o->sensitivity.alone_float ? "float" : "int8";
    j["layers"] = Json::array();
    for (const LayerSensitivity& l : layers) j["layers"].push_back({{"name", l.name}, {"op", l.op}, {"sqnr_db", l.sqnr_db}});
    if (!o->out.empty()) write_file(o->out, j.dump(1) + "\n");
    std::fputs(ranking_table(layers).c_str(), stdout);
    std::printf("all %zu layers in INT8: outputs at %.1f dB\n", layers.size(), j["all_int8_db"].get<double>());
    return 0;
  };
}

}  // namespace cytodet::pipeline
