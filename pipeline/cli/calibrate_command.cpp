// calibrate.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/quantize/target.h"
#include "quant/calibrate.h"
#include "quant/graph_hash.h"

namespace cytodet::pipeline {
namespace {

struct CalibrateFlags {
  std::string graph, images, out, values = "layers", log, from_log;
  GraphFlags target;
  int max_images = 100;
  CalibrateOptions options;
};

void warn_degenerate(const Ranges& ranges) {
  std::vector<std::string> names;
  for (const auto& [name, range] : ranges.values)
    if (is_degenerate(range)) names.push_back(name);
  if (!names.empty())
    print_warning(std::to_string(names.size()) + " values were always one number, " + names.front() +
                  (names.size() > 1 ? " among them" : "") + "; they are marked as degenerate");
}

int ranges_from_log(const CalibrateFlags& flags) {
  CalibrationLog log = read_log(flags.from_log);
  for (const std::string& problem : log.problems) print_warning(flags.from_log + ": " + problem);
  if (log.rejected > static_cast<int64_t>(log.problems.size()))
    print_warning(flags.from_log + ": " + std::to_string(log.rejected) + " records are broken in all");
  Ranges ranges = ranges_of(log, flags.from_log);
  ranges.data = std::filesystem::path(flags.from_log).filename().string();
  const QuantizationTarget target = read_target(flags.graph, {flags.target.changes(), flags.target.interface});
  ranges.graph_hash = graph_hash(target.graph);
  std::vector<std::string> strangers;
  for (const auto& [name, range] : ranges.values)
    if (target.graph.find(name) < 0) strangers.push_back(name);
  if (!strangers.empty())
    print_warning(flags.from_log + ": " + std::to_string(strangers.size()) + " of its " + std::to_string(ranges.values.size()) +
                  " nodes are not in " + target.path + ", such as " + strangers.front());
  warn_degenerate(ranges);
  write_ranges(ranges, flags.out);
  std::printf("%zu ranges from %zu records in %s\n", ranges.values.size(), log.records.size(), flags.out.c_str());
  return static_cast<int>(log.rejected ? Exit::partial : Exit::ok);
}

int ranges_from_images(CalibrateFlags& flags) {
  require_observer(flags.options.method);
  QuantizationTarget target = read_target(flags.graph, {flags.target.changes(), flags.target.interface});
  CalibrationData data = data_of(target, flags.images, flags.max_images);
  flags.options.all_values = flags.values == "all";
  flags.options.records = !flags.log.empty();
  Calibration c;
  try {
    c = calibrate(target.graph, target.plan, data, flags.options);
  } catch (const Error& e) {
    throw e.within(target.path);
  }
  for (const std::string& problem : c.problems) print_error(problem);
  warn_degenerate(c.ranges);
  write_ranges(c.ranges, flags.out);
  if (!flags.log.empty()) write_log(c.records, flags.log);
  std::printf("%zu ranges (%s) from %lld of %zu images in %s\n", c.ranges.values.size(), c.ranges.method.c_str(),
              static_cast<long long>(c.ranges.images), data.samples.size(), flags.out.c_str());
  return static_cast<int>(c.problems.empty() ? Exit::ok : Exit::partial);
}

}  // namespace

std::function<int()> setup_calibrate(CLI::App& app) {
  auto o = std::make_shared<CalibrateFlags>();
  std::string methods;
  for (const ObserverEntry& row : all_observers()) methods += (methods.empty() ? "" : ", ") + std::string(row.name);
  app.add_option("GRAPH", o->graph, "Model file (.json), graph with one beside it, or bare graph")->required();
  app.add_option("--images", o->images, "Folder of images; for a bare graph, of feeds (.json)");
  app.add_option("-o,--out", o->out, "Ranges (.json)")->required();
  app.add_option("--method", o->options.method, "How a range is chosen: " + methods);
  app.add_option("--percentile", o->options.observer.percentile, "Of --method percentile; default 99.9999")
      ->check(CLI::Range(50.0, 100.0));
  app.add_flag("--per-channel,!--no-per-channel", o->options.per_channel, "Also the extremes of every channel (the default)");
  app.add_option("--max-images", o->max_images, "Evenly spaced over the sorted list; default 100")->check(CLI::Range(1, 1000000));
  app.add_option("--values", o->values, "layers (what quantization needs; the default) or all")
      ->check(CLI::IsMember({"layers", "all"}));
  app.add_option("--log", o->log, "Also write each image's extremes as a calibration log");
  app.add_option("--from-log", o->from_log, "Instead of --images: ranges from a calibration log");
  app.add_option("--streams", o->options.streams, "Networks at work at once; 0: one per core")->check(CLI::Range(0, 256));
  o->target.add(app, "Of a bare graph: ");
  app.add_flag("--quiet", o->options.quiet, "No progress");
  return [o] {
    if (o->images.empty() == o->from_log.empty())
      throw UsageError("cytodet calibrate", "needs --images DIR or --from-log FILE, one of them");
    OutputPlan plan;
    add_model(plan.inputs(), o->graph);
    add_images(plan.inputs(), {o->images}, true);
    plan.add_input(o->from_log, "the log that is read");
    plan.add_output(o->out, "the ranges");
    plan.add_output(o->log, "the log");
    check_outputs(plan);
    return o->from_log.empty() ? ranges_from_images(*o) : ranges_from_log(*o);
  };
}

}  // namespace cytodet::pipeline
