#include "pipeline/tune/evaluator.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "core/cpu.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/messages.h"
#include "core/settings.h"
#include "core/timing.h"
#include "eval/coco.h"
#include "pipeline/detect/score_detections.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::pipeline {
namespace {

constexpr double kRounding = 1e-12;  // of an AP: a mean over some thousand numbers

std::string regions_key(const DetectSettings& d) { return d.roi + '\n' + json_line(Json{d.roi_class, d.roi_ignore}); }

// Content, as far as a short look shows: size, time of change, first and last MiB.
std::string hash_of_image(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return path;  // opening it says what is wrong
  Hash hash;
  hash.add(std::to_string(info.st_size)).add(std::to_string(info.st_mtim.tv_sec)).add(std::to_string(info.st_mtim.tv_nsec));
  std::ifstream file(path, std::ios::binary);
  std::string part(size_t{1} << 20, '\0');
  for (int64_t at : {int64_t{0}, std::max<int64_t>(0, info.st_size - (int64_t{1} << 20))}) {
    file.clear();
    file.seekg(at);
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    hash.add(std::string_view(part).substr(0, static_cast<size_t>(file.gcount())));
  }
  return hash.text();
}

// The settings that an image's raw detections depend on.
Json network_settings(const DetectSettings& s) {
  Json json = write_settings(s);
  for (const char* key : {"merge", "score", "streams", "threads_per_stream"}) json.erase(key);
  return json;
}

std::vector<size_t> stages_of(size_t images) {
  std::vector<size_t> stages;
  for (size_t n : {images / 2, images * 3 / 4, images * 7 / 8, images})
    if (n > 0 && (stages.empty() || n > stages.back())) stages.push_back(n);
  return stages;
}

}  // namespace

TuneMeasurer::TuneMeasurer(const TuneSpace& space)
    : space_(space), folder_(space.config.run.output), journal_(folder_ / "journal.json") {
  const RunConfig& run = space.config.run;
  truth_ = read_ground_truth(run.truth);
  warn(truth_.warnings);
  truth_hash_ = Hash().add(read_file(run.truth)).text();
  std::vector<std::string> matching;
  images_ = images_in_ground_truth(truth_, run.inputs, run.truth, matching);
  warn(matching);
  truth_ = truth_of(truth_, images_);
  image_of_ = truth_.images_of(images_).name_of;
  for (const std::string& p : images_) image_hashes_.push_back(hash_of_image(p));
  read_models();
  const auto timed = static_cast<size_t>(space.config.speed.images);
  timed_ = timed == 0 ? images_.size() : std::min(timed, images_.size());
  stage_images_ = stages_of(images_.size());
  make_folder(folder_ / "cache");
  remove_partial_files(folder_);
  remove_partial_files(folder_ / "cache");
  journal_.save();  // a folder that cannot be written is known before the work
}

// Detections above any score that the search asks for are found among those above the least.
void TuneMeasurer::read_models() {
  std::map<std::string, std::string> hashes;
  for (const TuneSetting& n : space_.networks) {
    const std::string& path = n.run.model;
    if (!models_.contains(path)) {
      ModelFile m = load_model(path);
      double min_score = 1;
      for (const TuneSetting& s : space_.merges)
        min_score = std::min(min_score, s.run.detect.score.value_or(m.suppression.score));
      m.suppression.score = min_score;
      ModelFile meaning = m;
      meaning.graph = Hash().add(read_file(m.graph)).text();
      hashes[path] = Hash().add(CYTODET_VERSION).add(name_of(isa())).add(json_line(write_settings(meaning))).text();
      models_[path] = std::move(m);
    }
    Hash hash;
    hash.add(hashes[path]).add(json_line(network_settings(n.run.detect)));
    if (const std::string& roi = n.run.detect.roi; !roi.empty()) {
      const RoiSource& regions = regions_.try_emplace(regions_key(n.run.detect), roi, roi_choice(n.run.detect)).first->second;
      for (const std::string& p : images_) {
        const std::optional<Roi> of_image = regions.of(p);
        hash.add(of_image ? of_image->hash() : "none");
      }
    }
    network_hashes_.push_back(hash.text());
  }
}

std::string TuneMeasurer::image_key(size_t network, size_t image) const {
  return Hash().add(network_hashes_[network]).add(image_hashes_[image]).text();
}

std::string TuneMeasurer::accuracy_key(size_t network, size_t merge) const {
  DetectSettings d = space_.merges[merge].run.detect;
  Hash hash;
  hash.add("accuracy, slides whole")
      .add(network_hashes_[network])
      .add(truth_hash_)
      .add(json_line(space_.config.run.evaluate.max_dets));
  hash.add(std::to_string(timed_)).add(json_line({{"score", d.score.value_or(-1)}, {"merge", write_settings(d.merge)}}));
  for (size_t p = 0; p < images_.size(); ++p)
    hash.add(std::filesystem::path(images_[p]).filename().string()).add(image_hashes_[p]);
  return hash.text();
}

std::string TuneMeasurer::seconds_key(size_t network, size_t parallel) const {
  const DetectSettings& d = space_.parallel_settings[parallel].run.detect;
  Hash hash;
  hash.add("seconds").add(network_hashes_[network]).add(std::to_string(usable_cpus()));
  hash.add(std::to_string(space_.config.speed.repeats));
  hash.add(std::to_string(d.streams)).add(std::to_string(d.threads_per_stream));
  for (size_t p = 0; p < timed_; ++p) hash.add(image_hashes_[p]);
  return hash.text();
}

Detector& TuneMeasurer::detector(size_t network, size_t parallel) {
  DetectSettings d = space_.networks[network].run.detect;
  d.streams = space_.parallel_settings[parallel].run.detect.streams;
  d.threads_per_stream = space_.parallel_settings[parallel].run.detect.threads_per_stream;
  const std::string& path = space_.networks[network].run.model;
  const std::pair key(path, detector_key(d));
  if (const std::unique_ptr<Detector>* known = detectors_.get(key)) return **known;
  return *detectors_.put(key, std::make_unique<Detector>(models_.at(path), d));
}

void TuneMeasurer::keep(size_t network, size_t image, DetectedImage& result) const {
  const std::string key = image_key(network, image);
  write_raw({result.tiled, std::move(result.raw)}, key, raw_path(key));
}

// keep_each: what the tiles gave goes into the cache image by image, so that little is lost when the search is killed.
DetectReport TuneMeasurer::run(size_t network, size_t parallel, const std::vector<size_t>& images, bool keep_each) {
  DetectSettings s = space_.networks[network].run.detect;
  s.streams = space_.parallel_settings[parallel].run.detect.streams;
  s.threads_per_stream = space_.parallel_settings[parallel].run.detect.threads_per_stream;
  s.raw_only = true;
  s.score.reset();  // the model has the least that is searched
  std::vector<std::string> paths;
  for (size_t p : images) paths.push_back(images_[p]);
  size_t at = 0;
  DetectHooks hooks;
  hooks.done = [&](DetectedImage& r) {
    const size_t image = images[at++];
    if (keep_each && !r.failed()) keep(network, image, r);
  };
  DetectReport report = detect(detector(network, parallel), paths, s, hooks);
  for (const DetectedImage& r : report.images)
    if (r.failed()) throw Error("", r.reason);
  for (const DetectedImage& r : report.images)
    for (const std::string& w : r.warnings)
      if (const std::string text = r.path + ": " + w; warned_.insert(text).second) print_warning(text);
  return report;
}

double TuneMeasurer::seconds(size_t network, size_t parallel) {
  const std::string key = seconds_key(network, parallel);
  if (const double* known = journal_.seconds(key)) return *known;
  std::vector<size_t> images(timed_);
  std::iota(images.begin(), images.end(), size_t{0});
  double best = 0;
  for (int i = 0; i < space_.config.speed.repeats; ++i) {
    DetectReport report = run(network, parallel, images, false);
    best = i == 0 ? report.wall_ms : std::min(best, report.wall_ms);
    std::error_code ignored;
    for (size_t p = 0; i == 0 && p < timed_; ++p)
      if (!std::filesystem::exists(raw_path(image_key(network, p)), ignored)) keep(network, p, report.images[p]);
  }
  journal_.add_seconds(key, std::max(best, 1e-6) / 1000 / static_cast<double>(timed_));
  journal_.save();
  return *journal_.seconds(key);
}

// Raw detections of the first images, from the cache or from the network.
void TuneMeasurer::load(size_t network, size_t images) {
  if (loaded_ != network) raw_.clear();
  loaded_ = network;
  std::vector<RawDetections> found(images);
  std::vector<size_t> missing;
  std::error_code ignored;
  auto read = [&](size_t p) {
    const std::string key = image_key(network, p);
    found[p] = read_raw(raw_path(key), key);
  };
  for (size_t p = 0; p < images; ++p) {
    if (p < raw_.size()) {
      found[p] = std::move(raw_[p]);
      continue;
    }
    if (std::filesystem::exists(raw_path(image_key(network, p)), ignored)) {
      try {
        read(p);
        continue;
      } catch (const Error& e) {
        warn({e.where() + ": " + e.problem() + "; detecting again"});
      }
    }
    missing.push_back(p);
  }
  if (!missing.empty()) run(network, 0, missing, true);
  for (size_t p : missing) read(p);
  detected_ += missing.size();
  raw_ = std::move(found);
  for (const RawDetections& r : raw_) tiled_ = tiled_ || r.tiled;
}

double TuneMeasurer::map(size_t network, size_t merge, size_t images) const {
  DetectReport report;
  for (size_t p = 0; p < images; ++p) {
    DetectedImage r;
    r.path = images_[p];
    r.state = ImageState::done;
    r.tiled = raw_[p].tiled;
    r.detections = merge_raw(raw_[p].found, raw_[p].tiled, space_.merges[merge].run.detect);
    report.images.push_back(std::move(r));
  }
  DetectionSet set = to_set(report, truth_, models_.at(space_.networks[network].run.model));
  std::vector<char> seen(truth_.images.size(), 0);
  for (size_t p = 0; p < images; ++p) seen[static_cast<size_t>(image_of_[p])] = 1;
  // The rest as if found without a fault, ahead of all else: at every recall no other detections of it give more precision.
  for (size_t t = 0; t < truth_.size(); ++t) {
    const double* box = truth_.boxes.data() + 4 * t;
    if (seen[static_cast<size_t>(truth_.image[t])] || truth_.crowd[t] || !(box[2] > 0 && box[3] > 0)) continue;
    set.image.push_back(truth_.image[t]);
    set.category.push_back(truth_.category[t]);
    set.boxes.insert(set.boxes.end(), box, box + 4);
    set.scores.push_back(2);
  }
  ScoreOptions options;
  options.max_dets = space_.config.run.evaluate.max_dets;
  if (options.max_dets == ScoreOptions().max_dets) {
    std::vector<const ImageResult*> results;
    for (const DetectedImage& r : report.images) results.push_back(&r);
    follow_slides(options, set, scored_images(results, truth_));
  }
  const auto regions = regions_.find(regions_key(space_.networks[network].run.detect));
  if (regions == regions_.end()) return score(truth_, set, options).stats.at(0);
  GroundTruth inside = truth_;
  keep_in_roi(regions->second, places_of(space_.networks[network].run.detect.origin, images_), inside, set);
  return score(inside, set, options).stats.at(0);
}

double TuneMeasurer::merge_seconds(size_t merge) const {
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    Stopwatch watch;
    for (size_t p = 0; p < timed_; ++p) merge_raw(raw_[p].found, raw_[p].tiled, space_.merges[merge].run.detect);
    best = i == 0 ? watch.ms() : std::min(best, watch.ms());
  }
  return best / 1000 / static_cast<double>(timed_);
}

// A search that goes on may find all its figures in the journal: then the cache says whether the images were cut into tiles.
bool TuneMeasurer::is_tiled() const {
  for (size_t network = 0; !tiled_ && network < space_.networks.size(); ++network)
    for (size_t p = 0; p < timed_; ++p) {
      const std::string key = image_key(network, p);
      std::error_code ignored;
      if (!std::filesystem::exists(raw_path(key), ignored)) continue;
      try {
        if (read_raw(raw_path(key), key).tiled) return true;
      } catch (const Error&) {
        continue;  // broken: what is measured next makes it anew
      }
    }
  return tiled_;
}

TuneWork TuneMeasurer::work() const {
  if (!is_tiled()) return {};
  double megapixels = 0, mm2 = 0;
  bool sized = true;
  for (size_t p = 0; p < timed_; ++p) {
    const DetectSettings& d = space_.config.run.detect;
    const std::unique_ptr<Slide> slide = open_slide(images_[p], d.selection);
    settle_pixel_size(*slide, d.tiling);
    const PixelArea scanned = scanned_area(*slide);
    const double pixels = static_cast<double>(scanned.width) * static_cast<double>(scanned.height);
    megapixels += pixels / 1e6;
    sized = sized && slide->mpp_x;
    if (sized) mm2 += square_millimetres(pixels, *slide->mpp_x, slide->mpp_y.value_or(*slide->mpp_x));
  }
  const auto n = static_cast<double>(timed_);
  return sized && mm2 > 0 ? TuneWork{mm2 / n, "mm2"} : TuneWork{megapixels / n, "megapixels"};
}

std::vector<TuneAccuracy> TuneMeasurer::accuracy(size_t network, int stage, const std::vector<size_t>& merges) {
  const size_t images = stage_images_[static_cast<size_t>(stage)];
  const bool last = images == images_.size();
  std::vector<TuneAccuracy> found;
  for (size_t merge : merges) {
    const std::string key = accuracy_key(network, merge);
    if (const TuneAccuracy* known = journal_.accuracy(key)) {  // the mAP is its own best bound
      found.push_back(*known);
      continue;
    }
    load(network, images);
    TuneAccuracy a{map(network, merge, images), 0};
    if (last) {
      a.merge_seconds = merge_seconds(merge);
      journal_.add_accuracy(key, a);
    } else {
      a.map += kRounding;
    }
    found.push_back(a);
  }
  if (last) journal_.save();
  return found;
}

}  // namespace cytodet::pipeline
