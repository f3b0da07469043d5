// Model: a detector network, and what it finds in images in memory, in files and on whole slides.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cytodet/detail.h"
#include "cytodet/image.h"
#include "cytodet/tensor.h"

namespace cytodet {

// What layers that the graph keeps in float are computed in: as the graph has them, or on bfloat16 (an error on a CPU without
// it).
enum class Precision { graph, bf16 };

struct ModelOptions {
  int streams = 0;             // networks at work at once, 0 to 256; 0: one per usable core
  int threads_per_stream = 1;  // threads inside one network, 1 to 256
  Precision precision = Precision::graph;
  std::optional<double> score = {};    // lowest score of a detection, 0 to 1; default: the model file's, as the rest
  std::optional<int> detections = {};  // highest number of detections of an image or tile
  std::string nms = {};                // "hard" or "gaussian"
  std::optional<double> iou = {};      // boxes of a class that overlap more are suppressed
};

struct Progress {
  std::size_t input = 0;                    // index of the input at work
  std::size_t inputs_done = 0, inputs = 0;  // inputs: 0 where not known (Model::run)
  std::int64_t tiles_done = 0, tiles = 0;   // of the input at work, those that are run
};

// What is not set is decided by the library as described.
struct DetectOptions {
  std::string mode = {};         // "image": the whole image scaled down to the network's input; "slide": tiles; "auto" (default)
  std::optional<int> tile = {};  // side of a tile, pixels of the working resolution; default 640
  std::optional<int> overlap = {};        // pixels that neighbouring tiles share; default 160, or a quarter of `tile`
  std::optional<double> mpp = {};         // working resolution: micrometres per pixel,
  std::optional<int> level = {};          // or that of a pyramid level,
  std::optional<double> scale = {};       // or working pixels per level-0 pixel, (0, 1]; default: level 0
  std::optional<double> assume_mpp = {};  // micrometres per pixel of slides that do not say
  std::string merge = {};                 // owner (default), nms, soft_nms, greedy_nmm, nmm, wbf
  std::optional<double> merge_iou = {};   // boxes of overlapping tiles that overlap more are one; default 0.5
  std::optional<double> score = {};       // detections with this score or less are left out; not below Model::score()
  std::string roi = {};                   // file or folder of regions of interest; detections outside are left out
  std::string background = {};            // tiles of bare glass to skip are found by: none (default), otsu, variance
  std::string max_bad_tiles = {};         // damaged tiles that a slide may have, a number or a share; default "5%"
  std::string json = {};                  // more keys of "detect" of a run config (docs/detect.md); they win over those above
  // Called by threads of the library while a call works; they must not use the same model. progress: by one thread at a time.
  // stop: before each tile, perhaps by several threads at once; true ends the call soon. What they throw ends the call and is
  // thrown by it.
  std::function<void(const Progress&)> progress = {};
  std::function<bool()> stop = {};
};

struct Detection {
  Box box;
  int class_index = 0;        // from 0
  std::int64_t class_id = 0;  // COCO's category id
  std::string class_name;
  float score = 0;  // 0 to 1
};

enum class State { done = CYTODET_DONE, failed = CYTODET_INPUT_FAILED, skipped = CYTODET_SKIPPED };

// What was found in one input.
struct Result {
  std::string name;  // path of the file, or name of the image
  State state = State::done;
  std::optional<Error> error;                            // of a failed one
  std::string skip_reason;                               // of a skipped one
  std::int64_t width = 0, height = 0;                    // level-0 pixels; 0 where it could not be opened
  double mpp_x = 0, mpp_y = 0;                           // micrometres per level-0 pixel; 0: not known
  std::int64_t tiles = 0, tiles_run = 0, bad_tiles = 0;  // of the grid; those run; those of them that are damaged
  std::vector<std::string> warnings;
  std::vector<Detection> detections;  // highest score first
};

// The results of a call, in the order of the inputs.
class Results {
 public:
  explicit Results(cytodet_results* owned);
  std::size_t size() const { return all_.size(); }
  const Result& operator[](std::size_t i) const { return all_[i]; }
  std::vector<Result>::const_iterator begin() const { return all_.begin(); }
  std::vector<Result>::const_iterator end() const { return all_.end(); }
  // A callback asked to stop; inputs that were not finished have no result.
  bool stopped() const { return cytodet_results_stopped(handle_.get()) != 0; }
  const cytodet_results* handle() const { return handle_.get(); }

 private:
  std::shared_ptr<const cytodet_results> handle_;
  std::vector<Result> all_;
};

struct RunOptions {
  DetectOptions detect = {};
  bool resume = false;            // slides that an earlier call finished with the same settings are kept
  bool overwrite = false;         // also replaces results of versions that kept no list of their files
  std::string shard = {};         // "i/n": only every n-th slide of the list, from the i-th (from 1) on
  bool overlay = false;           // also an image with boxes per input
  std::string ground_truth = {};  // COCO ground truth that gives the image ids
  std::string json = {};          // more keys of a run config: {"outputs": ["geojson"]}
};

struct RunSummary {
  std::int64_t done = 0, failed = 0, skipped = 0, waiting = 0, detections = 0;
  bool stopped = false;
  std::vector<std::string> messages;  // errors of slides, and warnings
};

// Several threads may detect with one Model at once: calls share its streams.
class Model {
 public:
  // A model file (.json), or a graph (.pb, .pbtxt, a SavedModel or a checkpoint; float or INT8) beside which a model file of its
  // name lies. Throws Error: a file that cannot be read, a graph that is not what the model file says, an unknown operation.
  explicit Model(const std::string& path, const ModelOptions& options = {});

  std::string name() const { return cytodet_model_name(handle_.get()); }
  int input_width() const { return cytodet_model_input_width(handle_.get()); }  // of the network, pixels
  int input_height() const { return cytodet_model_input_height(handle_.get()); }
  int streams() const { return cytodet_model_streams(handle_.get()); }
  double score() const { return cytodet_model_score(handle_.get()); }  // all detections have at least this
  std::vector<std::string> classes() const {
    return detail::texts<cytodet_model>(handle_.get(), cytodet_model_class_count, cytodet_model_class_name);
  }
  // By class index: the score from which a detection counts as a cell (docs/operating_point.md); 0.4 where the model file does
  // not say. Detection calls give those below it, too.
  std::vector<double> operating_scores() const {
    std::vector<double> all;
    for (std::size_t c = 0; c < cytodet_model_class_count(handle_.get()); ++c)
      all.push_back(cytodet_model_operating_score(handle_.get(), c));
    return all;
  }
  cytodet_model* handle() const { return handle_.get(); }

  // One image or slide file. Throws Error when it cannot be opened or read, and (kind stopped) when a callback asked to stop.
  Result detect_file(const std::string& file, const DetectOptions& options = {}) const;
  // Files, folders, patterns ("slides/*.svs"), lists ("@list.txt"). One that cannot be opened or read has a failed result.
  Results detect_files(const std::vector<std::string>& inputs, const DetectOptions& options = {}) const;
  // Pixels in memory: as a file that holds these pixels. Throws Error on a size, stride or format that cannot be.
  Result detect_image(const ImageView& image, const DetectOptions& options = {}) const;
  Results detect_images(const std::vector<ImageView>& images, const DetectOptions& options = {}) const;
  // What the network gives for an image before boxes are made of it: its outputs, each [1, ...]. The image is resized,
  // placed and normalised as the model file's "input" says.
  std::vector<Tensor> network(const ImageView& image) const;
  // The outputs for an input that was made by the caller: float32 [1, height, width, 3].
  std::vector<Tensor> network(const Tensor& input) const;
  // Writes a run folder as `cytodet detect -o FOLDER` does; safe against an end at any moment, RunOptions::resume goes on.
  RunSummary run(const std::vector<std::string>& inputs, const std::string& folder, const RunOptions& options = {}) const;

 private:
  detail::Handle<cytodet_model, cytodet_model_free> handle_;
};

// ---- how it is done

namespace detail {

inline void set_detect(Settings& s, const DetectOptions& o, const std::string& prefix) {
  const auto set = [&](const char* key, const auto& value) { s.set((prefix + key).c_str(), value); };
  set("mode", o.mode);
  set("tiling.tile_px", o.tile);
  set("tiling.overlap_px", o.overlap ? o.overlap : o.tile ? std::optional<int>(*o.tile / 4) : std::nullopt);
  set("tiling.mpp", o.mpp);
  set("tiling.level", o.level);
  set("tiling.scale", o.scale);
  set("tiling.assume_mpp", o.assume_mpp);
  set("merge.method", o.merge);
  set("merge.iou", o.merge_iou);
  set("score", o.score);
  set("roi", o.roi);
  set("background", o.background);
  set("max_bad_tiles", o.max_bad_tiles);
}

// DetectOptions' functions for C; keeps what they throw.
class Callbacks {
 public:
  explicit Callbacks(const DetectOptions& options) : options_(options) {
    c_.struct_size = sizeof c_;
    c_.user = this;
    if (options.progress) c_.progress = progress;
    if (options.stop || options.progress) c_.stop = stop;
  }
  Callbacks(const Callbacks&) = delete;
  Callbacks& operator=(const Callbacks&) = delete;
  const cytodet_callbacks* get() const { return &c_; }
  // Throws what a function has thrown.
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  static void progress(void* user, const cytodet_progress* p) {
    auto& self = *static_cast<Callbacks*>(user);
    try {
      self.options_.progress({p->input, p->inputs_done, p->inputs, p->tiles_done, p->tiles});
    } catch (...) {
      self.keep();
    }
  }
  static int stop(void* user) {
    auto& self = *static_cast<Callbacks*>(user);
    {
      const std::lock_guard<std::mutex> lock(self.mutex_);
      if (self.thrown_) return 1;
    }
    try {
      return self.options_.stop && self.options_.stop() ? 1 : 0;
    } catch (...) {
      self.keep();
      return 1;
    }
  }
  void keep() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!thrown_) thrown_ = std::current_exception();
  }

  const DetectOptions& options_;
  cytodet_callbacks c_{};
  std::mutex mutex_;
  std::exception_ptr thrown_;
};

inline Result to_result(const cytodet_results* results, const cytodet_result* r) {
  Result one;
  one.name = cytodet_result_name(r);
  one.state = static_cast<State>(cytodet_result_state(r));
  if (const cytodet_error* e = cytodet_result_error(r)) one.error = to_error(e);
  one.skip_reason = cytodet_result_skip_reason(r);
  one.width = cytodet_result_width(r);
  one.height = cytodet_result_height(r);
  one.mpp_x = cytodet_result_mpp_x(r);
  one.mpp_y = cytodet_result_mpp_y(r);
  one.tiles = cytodet_result_tiles(r);
  one.tiles_run = cytodet_result_tiles_run(r);
  one.bad_tiles = cytodet_result_bad_tiles(r);
  one.warnings = texts<cytodet_result>(r, cytodet_result_warning_count, cytodet_result_warning);
  const std::size_t count = cytodet_result_detection_count(r);
  const cytodet_detection* d = cytodet_result_detections(r);
  one.detections.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const char* name = cytodet_results_class_name(results, static_cast<std::size_t>(d[i].class_index));
    one.detections.push_back({{d[i].x0, d[i].y0, d[i].x1, d[i].y1}, d[i].class_index, d[i].class_id, name, d[i].score});
  }
  return one;
}

// f(settings, callbacks, &error) as results.
template <class F>
Results detect(const DetectOptions& options, F f) {
  Settings settings;
  set_detect(settings, options, "");
  settings.set_json(options.json);
  Callbacks callbacks(options);
  Results results(call([&](cytodet_error** error) { return f(settings.get(), callbacks.get(), error); }));
  callbacks.rethrow();
  return results;
}

// The only result, of an input that is not to fail.
inline Result only(const Results& results, const std::string& name) {
  if (results.size() == 0 && results.stopped()) throw Error(ErrorKind::stopped, name + ": was stopped", name, "was stopped", "");
  if (results.size() != 1)
    throw Error(ErrorKind::usage, name + ": is no single file; use detect_files", name, "is no single file", "use detect_files");
  if (results[0].error) throw *results[0].error;
  return results[0];
}

}  // namespace detail

inline Results::Results(cytodet_results* owned) : handle_(owned, cytodet_results_free) {
  all_.reserve(cytodet_results_count(owned));
  for (std::size_t i = 0; i < cytodet_results_count(owned); ++i)
    all_.push_back(detail::to_result(owned, cytodet_results_at(owned, i)));
}

inline Model::Model(const std::string& path, const ModelOptions& options) {
  detail::Settings s;
  s.set("streams", options.streams);
  s.set("threads_per_stream", options.threads_per_stream);
  if (options.precision == Precision::bf16) s.set("precision", std::string("bf16"));
  s.set("score", options.score);
  s.set("detections", options.detections);
  s.set("nms", options.nms);
  s.set("iou", options.iou);
  handle_.reset(detail::call([&](cytodet_error** error) { return cytodet_model_open(path.c_str(), s.get(), error); }));
}

inline Results Model::detect_files(const std::vector<std::string>& inputs, const DetectOptions& options) const {
  const std::vector<const char*> paths = detail::pointers(inputs);
  return detail::detect(options, [&](const cytodet_settings* s, const cytodet_callbacks* c, cytodet_error** error) {
    return cytodet_detect_files(handle_.get(), paths.data(), paths.size(), s, c, error);
  });
}

inline Result Model::detect_file(const std::string& file, const DetectOptions& options) const {
  return detail::only(detect_files({file}, options), file);
}

inline Results Model::detect_images(const std::vector<ImageView>& images, const DetectOptions& options) const {
  std::vector<cytodet_image> all;
  for (const ImageView& i : images) all.push_back(detail::to_c(i));
  return detail::detect(options, [&](const cytodet_settings* s, const cytodet_callbacks* c, cytodet_error** error) {
    return cytodet_detect_images(handle_.get(), all.data(), all.size(), s, c, error);
  });
}

inline Result Model::detect_image(const ImageView& image, const DetectOptions& options) const {
  return detail::only(detect_images({image}, options), image.name.empty() ? "image 0" : image.name);
}

inline std::vector<Tensor> Model::network(const ImageView& image) const {
  const cytodet_image c = detail::to_c(image);
  return detail::to_tensors(detail::call([&](cytodet_error** error) { return cytodet_model_network(handle_.get(), &c, error); }));
}

inline std::vector<Tensor> Model::network(const Tensor& input) const {
  const cytodet_tensor c = detail::to_c(input);
  return detail::to_tensors(
      detail::call([&](cytodet_error** error) { return cytodet_model_network_on(handle_.get(), &c, error); }));
}

inline RunSummary Model::run(const std::vector<std::string>& inputs, const std::string& folder, const RunOptions& options) const {
  detail::Settings s;
  detail::set_detect(s, options.detect, "detect.");
  if (!options.detect.json.empty()) s.set_json("{\"detect\": " + options.detect.json + "}");
  s.set_flag("resume", options.resume);
  s.set_flag("overwrite", options.overwrite);
  s.set("shard", options.shard);
  s.set_flag("overlay", options.overlay);
  s.set("truth", options.ground_truth);
  s.set_json(options.json);
  const std::vector<const char*> paths = detail::pointers(inputs);
  detail::Callbacks callbacks(options.detect);
  const detail::Handle<cytodet_run_summary, cytodet_run_summary_free> run(detail::call([&](cytodet_error** error) {
    return cytodet_run(handle_.get(), paths.data(), paths.size(), folder.c_str(), s.get(), callbacks.get(), error);
  }));
  callbacks.rethrow();
  const cytodet_run_summary* r = run.get();
  return {cytodet_run_summary_done(r),
          cytodet_run_summary_failed(r),
          cytodet_run_summary_skipped(r),
          cytodet_run_summary_waiting(r),
          cytodet_run_summary_detections(r),
          cytodet_run_summary_stopped(r) != 0,
          detail::texts<cytodet_run_summary>(r, cytodet_run_summary_message_count, cytodet_run_summary_message)};
}

}  // namespace cytodet
