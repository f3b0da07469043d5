#include "pipeline/detect.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/parallel.h"
#include "core/progress.h"
#include "core/timing.h"

namespace cytodet {
namespace {

struct OpenPicture {
  size_t index;
  std::shared_ptr<const Slide> slide;
  bool tiled;
  std::vector<Tile> tiles;
};

struct Job {
  std::shared_ptr<OpenPicture> picture;  // null: the picture could not be opened
  size_t index;
  size_t tile = 0;
  std::string problem;
  double open_ms = 0;
  std::vector<RawDetection> found;
  PictureTimes times;
};

Tile whole(const Slide& slide) {
  Tile t;
  t.width = static_cast<int>(slide.width());
  t.height = static_cast<int>(slide.height());
  t.area = {0, 0, static_cast<double>(t.width), static_cast<double>(t.height)};
  t.side = std::max(t.width, t.height);
  t.slide_left = t.slide_top = t.slide_right = t.slide_bottom = true;
  return t;
}

// Where a tile lies in the network's input: all tiles of a grid share one scale, so a tile cut short by a small slide stays
// top-left.
Letterbox tile_letterbox(const Tile& tile, const Image& image, const InputSettings& input) {
  Letterbox box;
  box.scale = std::min(input.width, input.height) / (tile.side / tile.pixel);
  box.width = std::clamp(static_cast<int>(std::lround(image.width * box.scale)), 1, input.width);
  box.height = std::clamp(static_cast<int>(std::lround(image.height * box.scale)), 1, input.height);
  return box;
}

double to_inner_edge(const Box& b, const Tile& t) {
  double d = std::numeric_limits<double>::infinity();
  if (!t.slide_left) d = std::min(d, b.x0 - t.area.x0);
  if (!t.slide_top) d = std::min(d, b.y0 - t.area.y0);
  if (!t.slide_right) d = std::min(d, t.area.x1 - b.x1);
  if (!t.slide_bottom) d = std::min(d, t.area.y1 - b.y1);
  return std::max(d, 0.0);
}

class Batch {
 public:
  Batch(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
        const std::function<void(PictureResult&)>& done, bool quiet)
      : detector_(detector),
        inputs_(inputs),
        settings_(settings),
        done_(done),
        progress_(inputs.size() == 1 ? "detect" : "detect " + std::to_string(inputs.size()) + " inputs", -1, "tiles", quiet) {
    report_.pictures.resize(inputs.size());
  }

  DetectReport run() {
    Stopwatch watch;
    Pipeline<Job> pipeline{[this] { return produce(); }, [this](Job& j, int stream) { work(j, stream); },
                           [this](Job& j) { consume(j); }};
    pipeline.run(detector_.streams(), detector_.streams() * 2 + 1);
    report_.wall_ms = watch.ms();
    return std::move(report_);
  }

 private:
  std::optional<Job> produce() {
    if (current_ && next_tile_ >= current_->tiles.size()) current_.reset();
    if (!current_) {
      if (next_input_ >= inputs_.size()) return std::nullopt;
      size_t index = next_input_++;
      Stopwatch watch;
      try {
        current_ = open(index);
        next_tile_ = 0;
        open_ms_ = watch.ms();
      } catch (const Error& e) {
        return Job{nullptr, index, 0, e.what(), 0, {}, {}};
      }
    }
    Job job{current_, current_->index, next_tile_++, {}, open_ms_, {}, {}};
    open_ms_ = 0;
    return job;
  }

  std::shared_ptr<OpenPicture> open(size_t index) {
    auto picture = std::make_shared<OpenPicture>();
    picture->index = index;
    picture->slide = open_slide(inputs_[index]);
    const Slide& s = *picture->slide;
    int64_t side = 2 * std::max(detector_.model().input.width, detector_.model().input.height);
    picture->tiled =
        settings_.mode == "slide" || (settings_.mode == "auto" && (s.levels.size() > 1 || s.width() > side || s.height() > side));
    try {
      if (picture->tiled)
        picture->tiles = make_grid(s, settings_.tiling);
      else if (s.width() > kMaxImagePixels / s.height())
        throw Error("", "is too large to be shrunk as one image", "use --mode slide");
      else
        picture->tiles = {whole(s)};
    } catch (const Error& e) {
      throw e.within(inputs_[index]);
    }
    return picture;
  }

  void work(Job& job, int stream) {
    if (!job.picture) return;
    const OpenPicture& p = *job.picture;
    const Tile& tile = p.tiles[job.tile];
    try {
      Stopwatch watch;
      Image image = read_tile(*p.slide, tile);
      job.times.read_ms = watch.ms() + job.open_ms;
      Letterbox box = p.tiled ? tile_letterbox(tile, image, detector_.model().input)
                              : letterbox_of(image.width, image.height, detector_.model().input);
      Detector::StageTimes stages;
      Detections found = detector_.run(image, box, stream, stages);
      job.times.resize_ms = stages.resize_ms;
      job.times.network_ms = stages.network_ms;
      job.times.decode_ms = stages.decode_ms;
      for (Detection& d : found) {
        const double k = tile.pixel, left = tile.area.x0, top = tile.area.y0;
        d.box = {d.box.x0 * k + left, d.box.y0 * k + top, d.box.x1 * k + left, d.box.y1 * k + top};
        job.found.push_back({d, tile.index, to_inner_edge(d.box, tile)});
      }
    } catch (const Error& e) {
      job.problem = std::string(inputs_[p.index]) + ": " + e.what();
    } catch (const std::bad_alloc&) {
      job.problem = std::string(inputs_[p.index]) + ": out of memory; use smaller tiles or fewer streams";
    }
  }

  void consume(Job& job) {
    PictureResult& r = report_.pictures[job.index];
    r.path = inputs_[job.index];
    if (r.problem.empty()) r.problem = job.problem;
    if (!job.picture) {
      finish(r);
      return;
    }
    const OpenPicture& p = *job.picture;
    r.slide = p.tiled;
    r.width = p.slide->width();
    r.height = p.slide->height();
    ++r.tiles;
    r.times.read_ms += job.times.read_ms;
    r.times.resize_ms += job.times.resize_ms;
    r.times.network_ms += job.times.network_ms;
    r.times.decode_ms += job.times.decode_ms;
    pending_.insert(pending_.end(), job.found.begin(), job.found.end());
    progress_.add();
    if (job.tile + 1 < p.tiles.size()) return;
    Stopwatch watch;
    if (settings_.raw_only)
      r.raw = std::move(pending_);
    else
      r.detections = merge_raw(pending_, p.tiled, settings_);
    pending_.clear();
    r.times.merge_ms = watch.ms();
    finish(r);
  }

  void finish(PictureResult& r) {
    if (!r.problem.empty()) r.detections.clear();
    if (!done_) return;
    try {
      done_(r);
    } catch (const Error& e) {
      if (r.problem.empty()) r.problem = e.what();
    }
  }

  Detector& detector_;
  const std::vector<std::string>& inputs_;
  const DetectSettings& settings_;
  const std::function<void(PictureResult&)>& done_;
  Progress progress_;
  DetectReport report_;
  std::shared_ptr<OpenPicture> current_;
  size_t next_input_ = 0, next_tile_ = 0;
  double open_ms_ = 0;
  std::vector<RawDetection> pending_;
};

}  // namespace

void fields(Fields& f, DetectSettings& s) {
  f("mode", s.mode);
  f("tiling", s.tiling);
  f("merge", s.merge);
  f("streams", s.streams);
  f("threads_per_stream", s.threads_per_stream);
  f("score", s.score);
}

void check(const DetectSettings& s) {
  if (s.mode != "auto" && s.mode != "image" && s.mode != "slide")
    throw UsageError("detect.mode", "must be auto, image or slide, not \"" + s.mode + "\"");
  if (s.streams < 0 || s.streams > 256) throw UsageError("detect.streams", "must be 0 to 256");
  if (s.threads_per_stream < 1 || s.threads_per_stream > 256) throw UsageError("detect.threads_per_stream", "must be 1 to 256");
  if (s.score && !(*s.score >= 0 && *s.score < 1)) throw UsageError("detect.score", "must be 0 to 1");
  check(s.tiling);
  merge({}, s.merge);
}

ModelFile with_settings(ModelFile model, const DetectSettings& s) {
  if (s.score) model.suppression.score = *s.score;
  return model;
}

Detections merge_raw(const std::vector<RawDetection>& raw, bool tiled, const DetectSettings& s) {
  auto keep = [&](const Detection& d) { return !s.score || static_cast<double>(d.score) > *s.score; };
  if (!tiled) {
    Detections found;
    for (const RawDetection& r : raw)
      if (keep(r.detection)) found.push_back(r.detection);
    return found;
  }
  std::vector<TileDetection> found;
  for (const RawDetection& r : raw)
    if (keep(r.detection)) found.push_back({r.detection, r.tile, r.inner_edge_px < s.merge.edge_px});
  return merge(std::move(found), s.merge);
}

int DetectReport::failed() const {
  return static_cast<int>(
      std::count_if(pictures.begin(), pictures.end(), [](const PictureResult& r) { return !r.problem.empty(); }));
}

DetectReport detect(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                    const std::function<void(PictureResult&)>& done, bool quiet) {
  check(settings);
  return Batch(detector, inputs, settings, done, quiet).run();
}

std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const std::string& input : inputs) {
    std::error_code error;
    if (!std::filesystem::is_directory(input, error)) {
      files.push_back(input);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(input, error))
      if (entry.is_regular_file() && entry.path().filename().string()[0] != '.') found.push_back(entry.path().string());
    if (error) throw Error(input, "cannot list the folder: " + error.message());
    if (found.empty()) throw Error(input, "the folder holds no files");
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

}  // namespace cytodet
