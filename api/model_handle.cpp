#include "api/model_handle.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "api/pixels_slide.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "pipeline/config/run_config.h"
#include "pipeline/detect/run_detection.h"
#include "pipeline/inputs/list_inputs.h"

struct cytodet_run_summary {
  int64_t done = 0, failed = 0, skipped = 0, waiting = 0, detections = 0;
  bool stopped = false;
  std::vector<std::string> messages;
};

namespace cytodet::api {
namespace {

using core::Error, core::Json, core::UsageError;
using pipeline::DetectHooks, pipeline::DetectSettings;

constexpr size_t kMaxInputs = 100'000'000;

// ---- settings

// The settings of detection that belong to the model.
void take_model_settings(Json& json, DetectSettings& s) {
  s.streams = take(json, "streams", s.streams);
  s.threads_per_stream = take(json, "threads_per_stream", s.threads_per_stream);
  s.precision = exec::precision_named(take(json, "precision", std::string(pipeline::name_of(s.precision))));
}

std::unique_ptr<cytodet_model> open_model(const char* path, Json json) {
  require(path, "path");
  auto model = std::make_unique<cytodet_model>();
  model->path = path;
  take_model_settings(json, model->settings);
  model->settings.score = take(json, "score", std::optional<double>());
  pipeline::check(model->settings);
  models::ModelFile file = pipeline::with_settings(pipeline::load_model(path), model->settings);
  file.suppression.detections = take(json, "detections", file.suppression.detections);
  file.suppression.method =
      models::suppression_method_named(take(json, "nms", std::string(models::name_of(file.suppression.method))), "nms");
  file.suppression.iou = take(json, "iou", file.suppression.iou);
  refuse_rest(json, {"streams", "threads_per_stream", "precision", "score", "detections", "nms", "iou"});
  models::check(file, path);
  model->detector = std::make_unique<pipeline::Detector>(std::move(file), model->settings);
  model->pool = std::make_unique<StreamPool>(model->detector->streams());
  return model;
}

// Settings of a call on a model: those of the caller, with what is the model's.
void settle(const cytodet_model& model, DetectSettings& s) {
  s.streams = model.settings.streams;
  s.threads_per_stream = model.settings.threads_per_stream;
  s.precision = model.settings.precision;
  s.network_px = model.settings.network_px;
  s.cascade = model.settings.cascade;
  s.tiling.fit_edges = model.settings.tiling.fit_edges;
  const double lowest = model.detector->model().suppression.score;
  if (s.score && *s.score < lowest)
    throw UsageError("detect.score", "is below the model's, " + Json(lowest).dump(), "open the model with a lower score");
  if (!s.score) s.score = model.settings.score;
  pipeline::check(s);
}

DetectSettings detect_settings(const cytodet_model& model, const cytodet_settings* settings) {
  const Json json = json_of(settings);
  for (const char* key : {"streams", "threads_per_stream", "precision", "network_px", "cascade"})
    if (json.contains(key)) throw UsageError("detect." + std::string(key), "is the model's", "give it when the model is opened");
  DetectSettings s;
  core::read_settings(json, s, "detect");
  settle(model, s);
  return s;
}

// ---- callbacks

// The caller's callbacks as hooks of a batch, and how far it is.
class Watch {
 public:
  Watch(const cytodet_callbacks* callbacks, size_t inputs) : call_(callbacks_of(callbacks)) {
    progress_.struct_size = sizeof progress_;
    progress_.inputs = inputs;
  }

  // The hooks of one batch, which this object must outlive.
  DetectHooks hooks() {
    DetectHooks h;
    h.started = [this](size_t input, int tiles) {
      progress_.input = input;
      progress_.tiles = tiles;
      progress_.tiles_done = 0;
      report();
    };
    h.tile = [this](size_t) {
      ++progress_.tiles_done;
      report();
    };
    h.stop = [this] {
      if (call_.stop && !stopped_ && call_.stop(call_.user)) stopped_ = true;
      return stopped_.load();
    };
    return h;
  }
  void input_done() { ++inputs_done_; }
  bool stopped() const { return stopped_; }
  bool keeps_part() const { return call_.keep_part != 0; }

 private:
  void report() {
    progress_.inputs_done = inputs_done_;
    if (call_.progress) call_.progress(call_.user, &progress_);
  }

  cytodet_callbacks call_{};
  cytodet_progress progress_{};
  std::atomic<size_t> inputs_done_{0};
  std::atomic<bool> stopped_{false};
};

// ---- results

// "PATH: what; advice" of a result, where the error itself is not known.
cytodet_error error_of_text(const std::string& path, const std::string& text) {
  if (text.starts_with(path + ": ")) return to_api(Error(path, text.substr(path.size() + 2)));
  return to_api(Error("", text));
}

cytodet_result result_of(const pipeline::DetectedImage& r, const models::ModelFile& model, const std::optional<Error>& error) {
  cytodet_result result;
  result.path = r.path;
  result.name = core::valid_utf8(r.path);
  result.skip_reason = core::valid_utf8(r.skipped() ? r.reason : "");
  result.state = r.failed() ? CYTODET_INPUT_FAILED : r.skipped() ? CYTODET_SKIPPED : CYTODET_DONE;
  if (r.failed()) result.error = error ? to_api(*error) : error_of_text(r.path, r.reason);
  result.width = r.width;
  result.height = r.height;
  result.mpp_x = r.mpp.value_or(0);
  result.mpp_y = r.mpp_y.value_or(result.mpp_x);
  result.tiles = r.tiles;
  result.tiles_run = r.done() ? r.tiles_run() : 0;
  result.bad_tiles = r.bad_tiles;
  result.warnings = valid_texts(r.warnings);
  if (!r.mpp_warning.empty()) result.warnings.push_back(core::valid_utf8(r.mpp_warning));
  if (!r.damage.empty()) result.warnings.push_back("damaged: " + core::valid_utf8(r.damage));
  result.detections.reserve(r.detections.size());
  for (const core::Detection& d : r.detections)
    result.detections.push_back({d.box.x0, d.box.y0, d.box.x1, d.box.y1, model.category_id(d.category), d.category, d.score});
  return result;
}

using Open = std::function<std::unique_ptr<tiling::Slide>(size_t input)>;

// Detects on inputs of these names, which `open` opens, with `streams` of the model's streams.
std::unique_ptr<cytodet_results> detect(cytodet_model& model, const std::vector<std::string>& names, const Open& open,
                                        int streams, const DetectSettings& settings, const cytodet_callbacks* callbacks) {
  auto results = std::make_unique<cytodet_results>();
  results->model = model.detector->model();
  Watch watch(callbacks, names.size());
  std::vector<std::optional<Error>> errors(names.size());
  DetectHooks hooks = watch.hooks();
  hooks.open = [&](size_t i) {
    try {
      return open(i);
    } catch (const Error& e) {
      errors[i] = e;
      throw;
    }
  };
  hooks.done = [&](pipeline::DetectedImage&) { watch.input_done(); };
  hooks.keep_part = watch.keeps_part();
  const StreamPool::Lease lease = model.pool->take(streams);
  hooks.streams = lease.streams();
  pipeline::DetectReport report = pipeline::detect(*model.detector, names, settings, hooks);
  for (pipeline::DetectedImage& r : report.images) {
    results->inputs.push_back(result_of(r, results->model, errors[static_cast<size_t>(r.index)]));
    r = {};
  }
  results->stopped = watch.stopped();
  return results;
}

std::vector<std::string> texts_of(const char* const* inputs, size_t count) {
  require(inputs, "inputs");
  if (count < 1 || count > kMaxInputs)
    throw UsageError("count", "is " + std::to_string(count) + ": there is nothing to detect on");
  std::vector<std::string> texts;
  for (size_t i = 0; i < count; ++i) {
    require(inputs[i], "inputs");
    texts.emplace_back(inputs[i]);
  }
  return texts;
}

// Whether detection runs on the whole image, as one tile.
bool is_one_tile(const cytodet_image& image, const DetectSettings& s, const models::InputSettings& input) {
  const int64_t side = models::longest_whole_side(input);
  return s.mode == pipeline::DetectMode::image ||
         (s.mode == pipeline::DetectMode::automatic && !tiling::asks_resolution(s.tiling) && image.width <= side &&
          image.height <= side);
}

std::unique_ptr<cytodet_results> detect_images(cytodet_model& model, const std::vector<cytodet_image>& images,
                                               const cytodet_settings* settings, const cytodet_callbacks* callbacks) {
  const DetectSettings s = detect_settings(model, settings);
  std::vector<std::string> names;
  bool small = true;
  for (const cytodet_image& image : images) {
    names.push_back(image.name ? image.name : "image " + std::to_string(names.size()));
    check(image, names.back());
    small = small && is_one_tile(image, s, model.detector->frozen_input());
  }
  const int all = model.detector->streams();
  const int streams = small ? static_cast<int>(std::min<size_t>(images.size(), static_cast<size_t>(all))) : all;
  return detect(
      model, names, [&](size_t i) { return make_pixels_slide(images[i], names[i]); }, streams, s, callbacks);
}

// ---- run folders

struct Run {
  pipeline::RunConfig config;
  pipeline::FolderOptions options;
};

Run run_settings(const cytodet_model& model, std::vector<std::string> inputs, const char* folder, Json json) {
  require(folder, "folder");
  Run run;
  run.options.resume = take(json, "resume", false);
  run.options.overwrite = take(json, "overwrite", false);
  run.options.mask_image = take(json, "mask_image", false);
  if (const std::string shard = take(json, "shard", std::string()); !shard.empty()) pipeline::parse_shard(shard, run.options);
  for (const char* key : {"model", "inputs", "output", "evaluate", "quantize"})
    if (json.contains(key)) throw UsageError(key, "is no setting of a run here", "leave it out");
  core::read_settings(json, run.config, "settings");
  run.config.model = model.path;
  run.config.inputs = std::move(inputs);
  run.config.output = folder;
  settle(model, run.config.detect);
  run.options.catch_signals = false;
  run.options.log.quiet = true;
  return run;
}

std::unique_ptr<cytodet_run_summary> run_folder(cytodet_model& model, Run run, const cytodet_callbacks* callbacks) {
  auto summary = std::make_unique<cytodet_run_summary>();
  Watch watch(callbacks, 0);
  run.options.also = watch.hooks();
  std::mutex mutex;  // messages come from several threads
  const auto hear = [&](std::string_view message) {
    const std::lock_guard lock(mutex);
    summary->messages.push_back(core::valid_utf8(message));
  };
  run.options.log.hear = hear;
  const core::MessageCapture capture(hear);
  const StreamPool::Lease lease = model.pool->take(model.detector->streams());
  const pipeline::FolderRun done = pipeline::detect_to_folder(*model.detector, run.config, run.options);
  summary->done = done.state.count(pipeline::ImageState::done);
  summary->failed = done.state.count(pipeline::ImageState::failed);
  summary->skipped = done.state.count(pipeline::ImageState::skipped);
  summary->waiting = done.state.count(pipeline::ImageState::waiting);
  for (const pipeline::ImageResult& s : done.state.inputs) summary->detections += s.detection_count;
  summary->stopped = watch.stopped();
  return summary;
}

}  // namespace
}  // namespace cytodet::api

using namespace cytodet;
using namespace cytodet::api;

cytodet_model* cytodet_model_open(const char* path, const cytodet_settings* settings, cytodet_error** error) {
  return guarded(error, [&] { return open_model(path, json_of(settings)).release(); });
}
const char* cytodet_model_name(const cytodet_model* m) { return m ? m->detector->model().name.c_str() : ""; }
int32_t cytodet_model_input_width(const cytodet_model* m) { return m ? m->detector->model().input.width : 0; }
int32_t cytodet_model_input_height(const cytodet_model* m) { return m ? m->detector->model().input.height : 0; }
int32_t cytodet_model_streams(const cytodet_model* m) { return m ? m->detector->streams() : 0; }
double cytodet_model_score(const cytodet_model* m) { return m ? m->detector->model().suppression.score : 0; }
size_t cytodet_model_class_count(const cytodet_model* m) { return m ? m->detector->model().classes.size() : 0; }
const char* cytodet_model_class_name(const cytodet_model* m, size_t index) {
  return m ? text_at(m->detector->model().classes, index) : "";
}
int64_t cytodet_model_class_id(const cytodet_model* m, size_t index) {
  return index < cytodet_model_class_count(m) ? m->detector->model().category_id(static_cast<int>(index)) : -1;
}
double cytodet_model_operating_score(const cytodet_model* m, size_t index) {
  if (index >= cytodet_model_class_count(m)) return 0;
  const auto& scores = m->detector->model().operating_scores;
  return scores ? scores->classes.at(index).score : models::kDefaultOperatingScore;
}
void cytodet_model_free(cytodet_model* m) { delete m; }

cytodet_results* cytodet_detect_files(cytodet_model* model, const char* const* inputs, size_t count,
                                      const cytodet_settings* settings, const cytodet_callbacks* callbacks,
                                      cytodet_error** error) {
  return guarded(error, [&] {
    require(model, "model");
    const DetectSettings s = detect_settings(*model, settings);
    const std::vector<std::string> files = pipeline::list_images(texts_of(inputs, count)).files;
    return detect(
               *model, files, [&](size_t i) { return tiling::open_slide(files[i], s.selection); }, model->detector->streams(), s,
               callbacks)
        .release();
  });
}

cytodet_results* cytodet_detect_images(cytodet_model* model, const cytodet_image* images, size_t count,
                                       const cytodet_settings* settings, const cytodet_callbacks* callbacks,
                                       cytodet_error** error) {
  return guarded(error, [&] {
    require(model, "model");
    return detect_images(*model, images_of(images, count), settings, callbacks).release();
  });
}

size_t cytodet_results_count(const cytodet_results* r) { return r ? r->inputs.size() : 0; }
const cytodet_result* cytodet_results_at(const cytodet_results* r, size_t index) {
  return index < cytodet_results_count(r) ? &r->inputs[index] : nullptr;
}
int cytodet_results_stopped(const cytodet_results* r) { return r && r->stopped; }
size_t cytodet_results_class_count(const cytodet_results* r) { return r ? r->model.classes.size() : 0; }
const char* cytodet_results_class_name(const cytodet_results* r, size_t index) {
  return r ? text_at(r->model.classes, index) : "";
}
void cytodet_results_free(cytodet_results* r) { delete r; }

const char* cytodet_result_name(const cytodet_result* r) { return r ? r->name.c_str() : ""; }
cytodet_state cytodet_result_state(const cytodet_result* r) { return r ? r->state : CYTODET_INPUT_FAILED; }
const char* cytodet_result_skip_reason(const cytodet_result* r) { return r ? r->skip_reason.c_str() : ""; }
const cytodet_error* cytodet_result_error(const cytodet_result* r) { return r && r->error ? &*r->error : nullptr; }
int64_t cytodet_result_width(const cytodet_result* r) { return r ? r->width : 0; }
int64_t cytodet_result_height(const cytodet_result* r) { return r ? r->height : 0; }
double cytodet_result_mpp_x(const cytodet_result* r) { return r ? r->mpp_x : 0; }
double cytodet_result_mpp_y(const cytodet_result* r) { return r ? r->mpp_y : 0; }
int64_t cytodet_result_tiles(const cytodet_result* r) { return r ? r->tiles : 0; }
int64_t cytodet_result_tiles_run(const cytodet_result* r) { return r ? r->tiles_run : 0; }
int64_t cytodet_result_bad_tiles(const cytodet_result* r) { return r ? r->bad_tiles : 0; }
size_t cytodet_result_warning_count(const cytodet_result* r) { return r ? r->warnings.size() : 0; }
const char* cytodet_result_warning(const cytodet_result* r, size_t index) { return r ? text_at(r->warnings, index) : ""; }
size_t cytodet_result_detection_count(const cytodet_result* r) { return r ? r->detections.size() : 0; }
const cytodet_detection* cytodet_result_detections(const cytodet_result* r) {
  return cytodet_result_detection_count(r) ? r->detections.data() : nullptr;
}

cytodet_run_summary* cytodet_run(cytodet_model* model, const char* const* inputs, size_t count, const char* folder,
                                 const cytodet_settings* settings, const cytodet_callbacks* callbacks, cytodet_error** error) {
  return guarded(error, [&] {
    require(model, "model");
    return run_folder(*model, run_settings(*model, texts_of(inputs, count), folder, json_of(settings)), callbacks).release();
  });
}
int64_t cytodet_run_summary_done(const cytodet_run_summary* s) { return s ? s->done : 0; }
int64_t cytodet_run_summary_failed(const cytodet_run_summary* s) { return s ? s->failed : 0; }
int64_t cytodet_run_summary_skipped(const cytodet_run_summary* s) { return s ? s->skipped : 0; }
int64_t cytodet_run_summary_waiting(const cytodet_run_summary* s) { return s ? s->waiting : 0; }
int64_t cytodet_run_summary_detections(const cytodet_run_summary* s) { return s ? s->detections : 0; }
int cytodet_run_summary_stopped(const cytodet_run_summary* s) { return s && s->stopped; }
size_t cytodet_run_summary_message_count(const cytodet_run_summary* s) { return s ? s->messages.size() : 0; }
const char* cytodet_run_summary_message(const cytodet_run_summary* s, size_t index) {
  return s ? text_at(s->messages, index) : "";
}
void cytodet_run_summary_free(cytodet_run_summary* s) { delete s; }
