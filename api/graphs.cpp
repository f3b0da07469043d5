// Functions of cytodet/c.h that rewrite graphs: optimize, calibrate, quantize.
#include <memory>
#include <mutex>

#include "api/handles.h"
#include "api/pixels_slide.h"
#include "core/output_plan.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/passes/pass.h"
#include "models/common/letterbox.h"
#include "models/detection_model.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/quantize/answer_check.h"
#include "pipeline/quantize/int8_search.h"
#include "quant/calibrate.h"

struct cytodet_graph_report {
  int64_t nodes_before = 0, nodes_after = 0, ranges = 0, images = 0, layers = 0, int8_layers = 0;
  std::vector<std::string> messages;
};

namespace cytodet::api {
namespace {

using core::Error, core::Json;

using Report = std::unique_ptr<cytodet_graph_report>;

// f(report), whose thread's warnings become messages of the report.
template <class F>
cytodet_graph_report* reported(F f) {
  Report report = std::make_unique<cytodet_graph_report>();
  const core::MessageCapture capture([&](std::string_view m) { report->messages.push_back(core::valid_utf8(m)); });
  f(*report);
  return report.release();
}

graph::Graph optimized(const graph::Graph& source, const graph::PassOptions& options, const char* file) {
  graph::Graph graph = source;
  try {
    graph::run_passes(graph, options);
  } catch (const Error& e) {
    throw e.code() == core::Exit::usage ? e : e.within(file);
  }
  return graph;
}

void optimize(const char* file, const char* out, Json json, cytodet_graph_report& report) {
  graph::PassOptions options;
  options.interface.inputs = take(json, "inputs", options.interface.inputs);
  options.interface.outputs = take(json, "outputs", options.interface.outputs);
  options.only = take(json, "passes", options.only);
  options.without = take(json, "without", options.without);
  const bool check = take(json, "check", true);
  refuse_rest(json, {"inputs", "outputs", "passes", "without", "check"});
  core::OutputPlan plan;
  pipeline::add_graph(plan.inputs(), file);
  plan.add_output(out, "the optimized graph");
  plan.check();
  const graph::Graph source = graph::read_graph(file);
  const graph::Graph graph = optimized(source, options, file);
  report.nodes_before = static_cast<int64_t>(source.ids().size());
  report.nodes_after = static_cast<int64_t>(graph.ids().size());
  if (check)
    pipeline::write_checked(source, graph, out, {.interface = options.interface}, file);
  else
    graph::write_graph(graph, out);
}

// The caller's callbacks around samples.
class SampleWatch {
 public:
  SampleWatch(const cytodet_callbacks* callbacks, size_t samples, bool reports) : call_(callbacks_of(callbacks)) {
    if (!reports) call_.progress = nullptr;
    progress_.struct_size = sizeof progress_;
    progress_.inputs = samples;
  }
  // Throws Stopped.
  void check_stop() const {
    if (call_.stop && call_.stop(call_.user)) throw core::Stopped();
  }
  void end(size_t sample) {
    const std::lock_guard lock(mutex_);
    progress_.input = sample;
    ++progress_.inputs_done;
    if (call_.progress) call_.progress(call_.user, &progress_);
  }

 private:
  cytodet_callbacks call_{};
  cytodet_progress progress_{};
  std::mutex mutex_;
};

struct CalibrationRequest {
  quant::CalibrateOptions options;
  int max_images = 100;
};

// `keys`: those that are known beside the options of calibration.
CalibrationRequest calibration_request(Json json, bool of_folder) {
  CalibrationRequest r;
  quant::CalibrateOptions& options = r.options;
  options.quiet = true;
  options.method = take(json, "method", options.method);
  options.observer.percentile = take(json, "percentile", options.observer.percentile);
  options.per_channel = take(json, "per_channel", options.per_channel);
  options.streams = take(json, "streams", options.streams);
  std::vector<std::string> known = {"method", "percentile", "per_channel", "streams"};
  if (of_folder) {
    r.max_images = take(json, "max_images", r.max_images);
    known.emplace_back("max_images");
  }
  refuse_rest(json, known);
  pipeline::QuantizeSettings checked;
  checked.images = "images";
  checked.max_images = r.max_images;
  checked.method = &quant::require_observer(options.method);
  checked.percentile = options.observer.percentile;
  pipeline::check(checked);
  if (options.streams < 0 || options.streams > 256) throw core::UsageError("streams", "must be 0 to 256");
  return r;
}

enum class Reports { progress, nothing };

// Shows the samples to the network; images that cannot be read become messages. Throws Stopped.
quant::Ranges watched_ranges(const pipeline::QuantizationTarget& target, quant::CalibrationData data,
                             const quant::CalibrateOptions& options, const cytodet_callbacks* callbacks,
                             cytodet_graph_report& report, Reports reports = Reports::progress) {
  SampleWatch watch(callbacks, data.samples.size(), reports == Reports::progress);
  data.feed = [&watch, feed = std::move(data.feed)](size_t sample, exec::Runner& runner) {
    watch.check_stop();
    feed(sample, runner);
    watch.end(sample);
  };
  quant::Calibration c;
  try {
    c = quant::calibrate(target.graph, target.plan, data, options);
  } catch (const Error& e) {
    throw e.within(target.path);
  }
  watch.check_stop();
  for (const std::string& problem : c.problems) report.messages.push_back(core::valid_utf8(problem));
  report.ranges = static_cast<int64_t>(c.ranges.values.size());
  report.images = c.ranges.images;
  return std::move(c.ranges);
}

void calibrate(const char* model, const char* images, const char* out, Json json, const cytodet_callbacks* callbacks,
               cytodet_graph_report& report) {
  const CalibrationRequest request = calibration_request(std::move(json), true);
  pipeline::QuantizationTarget target = pipeline::read_target(model);
  core::OutputPlan plan;
  pipeline::add_model(plan.inputs(), model);
  pipeline::add_images(plan.inputs(), {images}, true);
  plan.add_output(out, "the ranges");
  plan.check();
  quant::CalibrationData data = pipeline::data_of(target, images, request.max_images);
  quant::write_ranges(watched_ranges(target, std::move(data), request.options, callbacks, report), out);
}

void calibrate_images(const char* model, const cytodet_image* images, size_t count, const char* out, Json json,
                      const cytodet_callbacks* callbacks, cytodet_graph_report& report) {
  const CalibrationRequest request = calibration_request(std::move(json), false);
  const std::vector<cytodet_image> given = images_of(images, count);
  pipeline::QuantizationTarget target = pipeline::read_target(model);
  const auto* network = dynamic_cast<const models::DetectionModel*>(target.network.get());
  if (!network) throw core::UsageError(model, "is no detection model", "calibrate it on a folder, as `cytodet calibrate` does");
  core::OutputPlan plan;
  pipeline::add_model(plan.inputs(), model);
  plan.add_output(out, "the ranges");
  plan.check();
  quant::CalibrationData data;
  data.name = "images in memory";
  for (size_t i = 0; i < given.size(); ++i) {
    data.samples.push_back(given[i].name ? given[i].name : "image " + std::to_string(i));
    check(given[i], data.samples.back());
  }
  data.feed = [&](size_t i, exec::Runner& runner) {
    const core::Image pixels = pixels_of(given[i], data.samples[i]);
    const models::Letterbox box = models::letterbox_of(pixels.width, pixels.height, network->input());
    pipeline::NetworkInput(runner.plan(), network->input()).put(*network, pixels, box, runner);
  };
  quant::write_ranges(watched_ranges(target, data, request.options, callbacks, report), out);
}

// pipeline::ranges_of(), whose calibration reports its progress and may be stopped.
quant::Ranges ranges_for(pipeline::QuantizationTarget& target, const pipeline::QuantizeSettings& s,
                         const cytodet_callbacks* callbacks, cytodet_graph_report& report, Reports reports = Reports::progress) {
  if (!s.ranges.empty() || s.images.empty()) return pipeline::ranges_of(target, s, true);
  return watched_ranges(target, pipeline::calibration_data(target, s.images, s.max_images), pipeline::calibrate_options(s, true),
                        callbacks, report, reports);
}

void quantize(const char* model, const char* out, Json json, const cytodet_callbacks* callbacks, cytodet_graph_report& report) {
  const bool check = take(json, "check", true);
  if (json.contains("max_drop"))
    throw core::UsageError("max_drop", "is no setting here", "use the program: cytodet quantize --max-drop");
  pipeline::QuantizeSettings s;
  core::read_settings(json, s, "settings");
  pipeline::check(s);
  pipeline::QuantizationTarget target = pipeline::read_target(model);
  pipeline::check_writable(target, out);
  core::OutputPlan plan;
  pipeline::add_model(plan.inputs(), model);
  pipeline::add_images(plan.inputs(), {s.images}, true);
  plan.add_input(s.ranges, "the ranges");
  plan.add_input(s.record, "the records");
  plan.add_output(out, "the INT8 graph");
  if (target.model) plan.add_output(pipeline::model_file_beside(out), "the model file of the INT8 graph");
  plan.check();
  const quant::Ranges ranges = ranges_for(target, s, callbacks, report);
  s.layers = pipeline::layers_of(target, s, true);
  const auto ranges_by = [&](const pipeline::QuantizeSettings& other) {
    cytodet_graph_report again;  // what cannot be read was reported
    return ranges_for(target, other, callbacks, again, Reports::nothing);
  };
  const pipeline::Int8Network n = pipeline::make_int8(target, ranges, s, s.layers, true, ranges_by);
  const pipeline::Quantized& q = n.quantized;
  pipeline::write_quantized(target, q, n.file, out, check && !s.force ? pipeline::FileCheck::yes : pipeline::FileCheck::no);
  for (const std::string& line : n.log) report.messages.push_back(core::valid_utf8(line));
  report.ranges = static_cast<int64_t>(ranges.values.size());
  report.images = ranges.images;
  report.layers = static_cast<int64_t>(q.report.layers.size());
  report.int8_layers = q.report.int8_layers();
}

}  // namespace
}  // namespace cytodet::api

using namespace cytodet;
using namespace cytodet::api;

cytodet_graph_report* cytodet_optimize(const char* graph, const char* out, const cytodet_settings* settings,
                                       cytodet_error** error) {
  return guarded(error, [&] {
    require(graph, "graph");
    require(out, "out");
    return reported([&](cytodet_graph_report& report) { optimize(graph, out, json_of(settings), report); });
  });
}
cytodet_graph_report* cytodet_calibrate(const char* model, const char* images, const char* out, const cytodet_settings* settings,
                                        cytodet_error** error) {
  return cytodet_calibrate_folder(model, images, out, settings, nullptr, error);
}
cytodet_graph_report* cytodet_calibrate_folder(const char* model, const char* images, const char* out,
                                               const cytodet_settings* settings, const cytodet_callbacks* callbacks,
                                               cytodet_error** error) {
  return stoppable("the calibration", error, [&] {
    require(model, "model");
    require(images, "images");
    require(out, "out");
    return reported([&](cytodet_graph_report& report) { calibrate(model, images, out, json_of(settings), callbacks, report); });
  });
}
cytodet_graph_report* cytodet_calibrate_images(const char* model, const cytodet_image* images, size_t count, const char* out,
                                               const cytodet_settings* settings, const cytodet_callbacks* callbacks,
                                               cytodet_error** error) {
  return stoppable("the calibration", error, [&] {
    require(model, "model");
    require(out, "out");
    return reported(
        [&](cytodet_graph_report& report) { calibrate_images(model, images, count, out, json_of(settings), callbacks, report); });
  });
}
cytodet_graph_report* cytodet_quantize(const char* model, const char* out, const cytodet_settings* settings,
                                       cytodet_error** error) {
  return cytodet_quantize_watched(model, out, settings, nullptr, error);
}
cytodet_graph_report* cytodet_quantize_watched(const char* model, const char* out, const cytodet_settings* settings,
                                               const cytodet_callbacks* callbacks, cytodet_error** error) {
  return stoppable("the calibration", error, [&] {
    require(model, "model");
    require(out, "out");
    return reported([&](cytodet_graph_report& report) { quantize(model, out, json_of(settings), callbacks, report); });
  });
}

int64_t cytodet_graph_report_nodes_before(const cytodet_graph_report* r) { return r ? r->nodes_before : 0; }
int64_t cytodet_graph_report_nodes_after(const cytodet_graph_report* r) { return r ? r->nodes_after : 0; }
int64_t cytodet_graph_report_ranges(const cytodet_graph_report* r) { return r ? r->ranges : 0; }
int64_t cytodet_graph_report_images(const cytodet_graph_report* r) { return r ? r->images : 0; }
int64_t cytodet_graph_report_layers(const cytodet_graph_report* r) { return r ? r->layers : 0; }
int64_t cytodet_graph_report_int8_layers(const cytodet_graph_report* r) { return r ? r->int8_layers : 0; }
size_t cytodet_graph_report_message_count(const cytodet_graph_report* r) { return r ? r->messages.size() : 0; }
const char* cytodet_graph_report_message(const cytodet_graph_report* r, size_t index) {
  return r ? text_at(r->messages, index) : "";
}
void cytodet_graph_report_free(cytodet_graph_report* r) { delete r; }
