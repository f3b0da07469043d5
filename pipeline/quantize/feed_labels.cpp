#include "pipeline/quantize/feed_labels.h"

#include <algorithm>
#include <functional>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/settings.h"
#include "eval/ground_truth.h"
#include "models/classification_model.h"
#include "models/common/letterbox.h"
#include "models/detection_model.h"
#include "pipeline/classify/classify.h"
#include "pipeline/quantize/feed_files.h"
#include "pipeline/results/folder_manifest.h"

namespace cytodet::pipeline {
namespace {

constexpr const char *kLabels = "labels.json", *kPriors = "priors.npy";

// The boxes of an image of the ground truth where they lie in the input; those that leave the part of the image that is fed are
// cut, and left out where less than half of them is in it.
Json boxes_of(const GroundTruth& truth, int image, const std::vector<int>& class_of_category, const InputImage& fed,
              const InputSettings& input) {
  const Letterbox at = letterbox_of(fed.tile.width, fed.tile.height, input);
  Json boxes = Json::array();
  for (size_t i = 0; i < truth.size(); ++i) {
    const int c = class_of_category[static_cast<size_t>(truth.category[i])];
    if (truth.image[i] != image || truth.crowd[i] || c < 0) continue;
    const double *b = truth.boxes.data() + 4 * i, x = b[0] - static_cast<double>(fed.tile.x),
                 y = b[1] - static_cast<double>(fed.tile.y);
    const double x0 = std::clamp<double>(x, 0, fed.tile.width), x1 = std::clamp<double>(x + b[2], 0, fed.tile.width);
    const double y0 = std::clamp<double>(y, 0, fed.tile.height), y1 = std::clamp<double>(y + b[3], 0, fed.tile.height);
    if (!((x1 - x0) * (y1 - y0) > 0.5 * b[2] * b[3])) continue;
    boxes.push_back({x0 * at.scale + at.left, y0 * at.scale_y + at.top, x1 * at.scale + at.left, y1 * at.scale_y + at.top, c});
  }
  return boxes;
}

Json detection_labels(const QuantizationTarget& target, const std::vector<LabelledImage>& samples, const std::string& file) {
  const GroundTruth truth = read_ground_truth(file);
  std::vector<std::string> paths;
  for (const LabelledImage& sample : samples) paths.push_back(sample.path);
  const PathAssignment images = truth.images_of(paths);
  for (const std::string& warning : images.warnings) print_warning(warning);
  std::vector<int> class_of_category(truth.categories.size(), -1);
  for (int c = 0; c < target.model->class_count(); ++c) {
    const int category = truth.category_of_class(target.model->category_id(c), target.model->classes[static_cast<size_t>(c)]);
    if (category >= 0) class_of_category[static_cast<size_t>(category)] = c;
  }
  Json labels = Json::object();
  for (size_t i = 0; i < samples.size(); ++i) {
    if (images.name_of[i] < 0) continue;
    try {
      const InputImage fed = input_image(samples[i].path, target.network->input());
      labels[feed_name(i)] = {{"image", samples[i].name},
                              {"boxes", boxes_of(truth, images.name_of[i], class_of_category, fed, target.network->input())}};
    } catch (const Error&) {
      continue;  // write_feed_files() has said it
    }
  }
  if (labels.empty()) throw UsageError(file, "names none of the images", "name the ground truth of --images");
  return labels;
}

Json classification_labels(const ClassificationModel& network, const std::vector<LabelledImage>& samples) {
  Json labels = Json::object();
  for (size_t i = 0; i < samples.size(); ++i) try {
      const LabelledImage& sample = samples[i];
      const ImageLabel label = sample.record_offset < 0 ? sample.label : load_labelled_image(sample, network.jpeg()).label;
      if (label.given()) labels[feed_name(i)] = {{"image", sample.name}, {"class", channel_of(network, label, sample.name)}};
    } catch (const UsageError&) {
      throw;
    } catch (const Error&) {
      continue;  // write_feed_files() has said it
    }
  return labels;
}

}  // namespace

void check_feed_labels(const QuantizationTarget& target, const std::string& truth) {
  if (truth.empty()) return;
  if (!target.model) throw UsageError("--truth", "needs a model file", "write one beside " + target.path);
  if (dynamic_cast<const ClassificationModel*>(target.network.get()))
    throw UsageError("--truth", "is for networks that detect", "labels come with the images");
  const auto* detector = dynamic_cast<const DetectionModel*>(target.network.get());
  if (!detector || detector->priors().empty())
    throw UsageError("--truth", "is read for EfficientDet's heads alone, and " + target.path + " has others",
                     "train without labels");
}

int write_feed_labels(QuantizationTarget& target, const std::string& images, int max_samples, const std::string& truth,
                      const std::filesystem::path& folder, bool overwrite) {
  check_feed_labels(target, truth);
  const std::vector<LabelledImage> samples = calibration_samples(target, images, max_samples);
  Json labels = Json::object();
  if (!truth.empty())
    labels = detection_labels(target, samples, truth);
  else if (const auto* classifier = dynamic_cast<const ClassificationModel*>(target.network.get()))
    labels = classification_labels(*classifier, samples);
  if (labels.empty()) return 0;
  std::vector<std::string> names{kLabels};
  if (!truth.empty()) names.push_back(kPriors);
  FolderManifest own(folder);
  if (!overwrite) own.require_ours(names);
  make_folder(folder);
  own.list_what_is_written();
  write_file(folder / kLabels, labels.dump(1) + "\n");
  if (!truth.empty()) {
    const std::vector<float> priors = dynamic_cast<const DetectionModel&>(*target.network).priors();
    write_file(folder / kPriors, npy_bytes(Tensor::from({static_cast<int64_t>(priors.size()) / 4, 4}, priors)));
  }
  return static_cast<int>(labels.size());
}

}  // namespace cytodet::pipeline
