#include "pipeline/tune/classification_evaluator.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/settings.h"
#include "pipeline/classify/classify.h"
#include "pipeline/inputs/slide_files.h"

namespace cytodet::pipeline {
namespace {

// Names, labels, sizes and times of change.
std::string hash_of(const std::vector<LabelledImage>& images) {
  Hash hash;
  std::string file;
  for (const LabelledImage& image : images) {
    hash.add(image.name).add(image.label.text());
    if (image.path == file) continue;
    file = image.path;
    const SlideIdentity id = slide_stamp(file);
    hash.add(std::to_string(id.bytes)).add(std::to_string(id.time_ns));
  }
  return hash.text();
}

}  // namespace

ClassificationMeasurer::ClassificationMeasurer(const TuneSpace& space)
    : space_(space), folder_(space.config.run.output), journal_(folder_ / "journal.json") {
  if (space.merges.size() > 1)
    throw UsageError("search", "asks for ways to merge boxes, and classification finds none", "leave them out");
  images_ = list_labelled_images(space.config.run.inputs).images;
  images_hash_ = hash_of(images_);
  const auto timed = static_cast<size_t>(space.config.speed.images);
  timed_.assign(images_.begin(),
                images_.begin() + static_cast<std::ptrdiff_t>(timed == 0 ? images_.size() : std::min(timed, images_.size())));
  make_folder(folder_);
  remove_partial_files(folder_);
  journal_.save();  // a folder that cannot be written is known before the work
}

// All that the scores of a network depend on.
std::string ClassificationMeasurer::network_key(size_t network) const {
  const RunConfig& run = space_.networks[network].run;
  ModelFile model = with_settings(load_model(run.model), run.classify);
  Hash hash;
  hash.add(CYTODET_VERSION).add(name_of(isa())).add(read_file(model.graph)).add(name_of(run.detect.precision));
  model.graph.clear();
  model.classes_file.clear();
  return hash.add(json_line(write_settings(model))).add(images_hash_).text();
}

Classifier ClassificationMeasurer::classifier(size_t network, size_t parallel) const {
  const RunConfig &run = space_.networks[network].run, &how = space_.parallel_settings[parallel].run;
  return Classifier(with_settings(load_model(run.model), run.classify),
                    {how.classify.batch, how.detect.streams, how.detect.threads_per_stream, true, run.detect.precision});
}

double ClassificationMeasurer::seconds(size_t network, size_t parallel) {
  const RunConfig& how = space_.parallel_settings[parallel].run;
  Hash hash;
  hash.add("seconds").add(network_key(network)).add(std::to_string(usable_cpus())).add(std::to_string(timed_.size()));
  hash.add(std::to_string(space_.config.speed.repeats)).add(std::to_string(how.classify.batch));
  hash.add(std::to_string(how.detect.streams)).add(std::to_string(how.detect.threads_per_stream));
  const std::string key = hash.text();
  if (const double* known = journal_.seconds(key)) return *known;
  Classifier network_at_work = classifier(network, parallel);
  double best = 0;
  for (int i = 0; i < space_.config.speed.repeats; ++i) {
    const double ms = classify(network_at_work, timed_, {}).wall_ms;
    best = i == 0 ? ms : std::min(best, ms);
  }
  journal_.add_seconds(key, std::max(best, 1e-6) / 1000 / static_cast<double>(timed_.size()));
  journal_.save();
  return *journal_.seconds(key);
}

std::vector<TuneAccuracy> ClassificationMeasurer::accuracy(size_t network, int, const std::vector<size_t>& merges) {
  const std::string key = Hash().add("top-1").add(network_key(network)).text();
  if (!journal_.accuracy(key)) {
    Classifier network_at_work = classifier(network, 0);
    journal_.add_accuracy(key, {measure_accuracy(network_at_work, images_).shares().top1, 0});
    journal_.save();
  }
  return std::vector<TuneAccuracy>(merges.size(), *journal_.accuracy(key));
}

}  // namespace cytodet::pipeline
