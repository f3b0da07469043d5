#include "pipeline/quantize/fallback_search.h"

#include <cstdio>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/settings.h"
#include "models/classification_model.h"
#include "pipeline/classify/classify.h"
#include "pipeline/detect/score_detections.h"
#include "quant/sensitivity.h"

namespace cytodet::pipeline {
namespace {

constexpr int kRankingImages = 4;
constexpr const char *kAp = "AP", *kTop1 = "top-1";

// All that a trial's accuracy depends on.
std::string fingerprint(const Ranges& ranges, const QuantizeSettings& s, const std::string& truth,
                        const std::vector<std::string>& images, const DetectSettings& detection) {
  Json j{{"graph", ranges.graph_hash}, {"quantize", write_settings(s)}, {"truth", truth}, {"pictures", images}};
  j["detect"] = write_settings(detection);
  j["ranges"] = Json::object();
  for (const auto& [name, r] : ranges.values) j["ranges"][name] = {r.low, r.high};
  return Hash().add(json_line(j)).text();
}

std::vector<std::string> ranking(QuantizationTarget& target, const Ranges& ranges, const QuantizeSettings& s, bool quiet) {
  const CalibrationData data = data_of(target, s.images, kRankingImages);
  const OutputSqnr outputs(target.graph, target.plan, data);
  SensitivityOptions options;
  options.quantize = s.layers;
  options.quiet = quiet;
  return layers_by_harm(target.graph, ranges, outputs, options);
}

Measured ap_of_detections(const QuantizationTarget& target, const QuantizeSettings& s, const std::string& truth_file,
                          const DetectSettings& settings) {
  GroundTruth truth = read_ground_truth(truth_file);
  std::vector<std::string> matching;
  const std::vector<std::string> images = images_in_ground_truth(truth, {s.images}, truth_file, matching);
  warn(matching);
  truth = truth_of(truth, images);
  return {
      kAp, images, [&target, truth, images, settings](const Graph& graph) {
        Detector detector(
            *target.model, graph,
            {.streams = settings.streams, .threads_per_stream = settings.threads_per_stream, .precision = settings.precision});
        return measure_ap(detector, truth, images, settings, {});
      }};
}

Measured top1_of_classes(const QuantizationTarget& target, const QuantizeSettings& s, const DetectSettings& settings) {
  constexpr int kBatch = 8;
  const std::vector<LabelledImage> images = list_labelled_images({s.images}).images;
  std::vector<std::string> names;
  for (const LabelledImage& image : images) names.push_back(image.name + "\n" + image.label.text());
  return {kTop1, names, [&target, images, settings](const Graph& graph) {
            Classifier classifier(*target.model, graph,
                                  {kBatch, settings.streams, settings.threads_per_stream, false, settings.precision});
            return measure_accuracy(classifier, images).shares().top1;
          }};
}

}  // namespace

bool classifies(const QuantizationTarget& target) {
  return dynamic_cast<const ClassificationModel*>(target.network.get()) != nullptr;
}

Measured accuracy_measure(const QuantizationTarget& target, const QuantizeSettings& s, const std::string& truth,
                          const DetectSettings& detection) {
  return classifies(target) ? top1_of_classes(target, s, detection) : ap_of_detections(target, s, truth, detection);
}

Accuracy search_float_fallback(QuantizationTarget& target, const Ranges& ranges, const QuantizeSettings& s,
                               const std::string& truth_file, const DetectSettings& detection,
                               const std::filesystem::path& state_file, bool quiet) {
  const Measured measured = accuracy_measure(target, s, truth_file, detection);
  FallbackState state = resume_fallback(state_file, fingerprint(ranges, s, truth_file, measured.images, detection));
  auto say = [&](const std::string& text) {
    if (!quiet) std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  };
  if (!state.trials.empty())
    say("going on with the " + std::to_string(state.trials.size()) + " trials in " + state_file.string());
  if (state.float_accuracy < 0) state.float_accuracy = measured.accuracy(target.graph);
  char line[160];
  std::snprintf(line, sizeof line, "float: %s %.4f on %zu images", measured.name, state.float_accuracy, measured.images.size());
  say(line);
  FallbackOptions options;
  options.max_drop = s.max_drop;
  options.measure = [&](const std::vector<std::string>& in_float) {
    QuantizeOptions q = s.layers;
    q.exclude_nodes.insert(q.exclude_nodes.end(), in_float.begin(), in_float.end());
    return measured.accuracy(from_tf_int8(target, to_tf_int8(target, quantize_target(target, ranges, q), ranges)));
  };
  options.rank = [&] { return ranking(target, ranges, s, quiet); };
  options.tried = [&](const FallbackTrial& t, bool known) {
    std::snprintf(line, sizeof line, "%4zu layers in float: %s %.4f, drop %.4f%s", t.in_float.size(), measured.name, t.accuracy,
                  state.float_accuracy - t.accuracy, known ? " (known)" : "");
    say(line);
    if (!known) save_fallback(state, state_file);
  };
  const FallbackTrial best = search_fallback(state, options);
  return {measured.name, state.float_accuracy, best.accuracy, best.in_float, state.trials.size()};
}

}  // namespace cytodet::pipeline
