#include "pipeline/detect/image_pipeline.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <limits>

#include "core/error.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "core/timing.h"
#include "pipeline/detect/open_image.h"
#include "tiling/background/background.h"
#include "tiling/tiles/slide_geometry.h"
#include "tiling/tiles/tile_reading.h"

namespace cytodet::pipeline {
namespace {

// The letterbox that maps a tile to the network's input. All tiles of a grid share one scale, so a tile cut short by a small
// slide, or made smaller at its edge, stays top-left.
Letterbox tile_letterbox(const Tile& tile, const Image& image, const InputSettings& input, const TileShape& shape) {
  Letterbox box;
  const int side = std::min(input.width, input.height);  // of a square tile
  const bool square = shape.height == 1;
  box.scale = (square ? side : input.width) / (tile.side / tile.pixel);
  box.scale_y = (square ? side : input.height) / (tile.side_y / tile.pixel);
  box.width = std::clamp(static_cast<int>(std::lround(image.width * box.scale)), 1, input.width);
  box.height = std::clamp(static_cast<int>(std::lround(image.height * box.scale_y)), 1, input.height);
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

// Whether a box has its centre in one.
bool in_some_part(const std::vector<Box>& parts, const Box& b) {
  const double x = (b.x0 + b.x1) / 2, y = (b.y0 + b.y1) / 2;
  return std::any_of(parts.begin(), parts.end(), [&](const Box& p) { return x >= p.x0 && x < p.x1 && y >= p.y0 && y < p.y1; });
}

struct Job {
  std::shared_ptr<OpenImage> image;
  bool look = false;           // a tile of OpenImage::look
  std::optional<size_t> tile;  // empty: only the end of the image
  bool last = false;
  std::string failure, damage;
  bool bad = false, fell_back = false, coarser = false;
  std::vector<RawDetection> found;
  StageTimes times;
};

class Batch {
 public:
  Batch(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings, const DetectHooks& hooks)
      : detector_(detector),
        inputs_(inputs),
        settings_(settings),
        hooks_(hooks),
        opener_(settings, detector.frozen_input(), detector.tile_shape(), hooks.masks) {
    report_.images.resize(inputs.size());
    finished_.resize(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      report_.images[i].index = static_cast<int64_t>(i);
      report_.images[i].path = inputs[i];
    }
    open_ahead();
  }

  DetectReport run() {
    Stopwatch watch;
    Pipeline<Job> pipeline{[this] { return produce(); }, [this](Job& j, int worker) { work(j, stream_of(worker)); },
                           [this](Job& j) { consume(j); }};
    const int streams = hooks_.streams.empty() ? detector_.streams() : static_cast<int>(hooks_.streams.size());
    pipeline.run(streams, streams * 2 + 1);
    if (finishing_.valid()) finishing_.get();
    if (opening_.valid()) opening_.wait();
    if (hooks_.keep_part && started_ && at_work_) finish(*at_work_, std::move(pending_), true);
    if (stopping())
      std::erase_if(report_.images, [this](const DetectedImage& r) { return !finished_[static_cast<size_t>(r.index)]; });
    report_.wall_ms = watch.ms();
    return std::move(report_);
  }

 private:
  void open_ahead() {
    if (next_input_ >= inputs_.size()) return;
    opening_ = start_anywhere([this, index = next_input_] {
      ImageOpener::Source source;
      if (hooks_.open) source = [this, index] { return hooks_.open(index); };
      std::shared_ptr<OpenImage> p = opener_.open(inputs_[index], source);
      p->result.index = static_cast<int64_t>(index);
      return p;
    });
    ++next_input_;
  }

  int stream_of(int worker) const { return hooks_.streams.empty() ? worker : hooks_.streams[static_cast<size_t>(worker)]; }
  bool stopping() const { return hooks_.stop && hooks_.stop(); }

  std::optional<Job> produce() {
    if (stopping()) return std::nullopt;
    if (!current_) {
      if (!opening_.valid()) return std::nullopt;
      current_ = opening_.get();
      next_tile_ = next_look_ = 0;
      open_ahead();
    }
    Job job;
    job.image = current_;
    if (next_look_ < current_->look.size() && !current_->given_up) {
      job.look = true;
      job.tile = next_look_++;
      return job;
    }
    if (next_tile_ == 0 && !current_->look.empty() && !current_->given_up) end_look(*current_);
    if (next_tile_ < current_->tiles.size() && !current_->given_up) job.tile = next_tile_++;
    job.last = !job.tile || next_tile_ == current_->tiles.size();
    if (job.last) current_.reset();
    return job;
  }

  // What was seen decides on the tiles, so they wait for the last look that is under way. Looks end whatever comes.
  static void end_look(OpenImage& p) {
    std::unique_lock lock(p.look_mutex);
    p.looked.wait(lock, [&] { return p.look_left == 0; });
    ImageOpener::keep_seen(p);
  }

  // A tile of the first look. What cannot be seen there is looked at.
  void look(Job& job, int stream) {
    OpenImage& p = *job.image;
    const Tile& tile = p.look[*job.tile];
    std::vector<Box> seen{tile.area};
    const Looked looked{p, seen};
    try {
      if (!p.given_up) {
        const TileImage read = read_tile_tolerant(*p.slide, tile);
        if (!read.damaged && !read.empty) {
          const Letterbox box = tile_letterbox(tile, read.image, detector_.model().input, detector_.tile_shape());
          seen.clear();
          for (const Detection& d : detector_.look(read.image, box, stream, job.times, settings_.tiling.fit_edges))
            if (static_cast<double>(d.score) >= settings_.cascade->score) seen.push_back(to_level_0(d.box, tile));
        }
      }
    } catch (const Error& e) {
      job.failure = p.result.path + ": " + e.what();
    } catch (const std::bad_alloc&) {
      job.failure = p.result.path + ": out of memory; use smaller tiles or fewer streams";
    }
  }

  // Hands over what a tile of the first look showed, however that ends.
  struct Looked {
    OpenImage& image;
    const std::vector<Box>& seen;
    ~Looked() {
      const std::lock_guard lock(image.look_mutex);
      image.seen.insert(image.seen.end(), seen.begin(), seen.end());
      --image.look_left;
      image.looked.notify_all();
    }
  };

  static Box to_level_0(const Box& b, const Tile& tile) {
    const double k = tile.pixel, left = tile.area.x0, top = tile.area.y0;
    return {b.x0 * k + left, b.y0 * k + top, b.x1 * k + left, b.y1 * k + top};
  }

  void work(Job& job, int stream) {
    OpenImage& p = *job.image;
    if (job.look) return look(job, stream);
    if (!job.tile || p.given_up) return;
    const Tile& tile = p.tiles[*job.tile];
    try {
      Stopwatch watch;
      TileImage read = read_tile_tolerant(*p.slide, tile);
      job.times.read = watch.ms() / 1000;
      job.bad = read.damaged;
      job.fell_back = read.fell_back && !read.damaged;
      job.coarser = read.coarser;
      job.damage = std::move(read.damage);
      if (read.empty || (read.damaged && p.bad_limit == 0)) return;
      const Image& image = read.image;
      Detections found;
      if (p.result.tiled)
        found = detector_.run(image, tile_letterbox(tile, image, detector_.model().input, detector_.tile_shape()), stream,
                              job.times, settings_.tiling.fit_edges);
      else
        found = detector_.run_whole(image, stream, job.times);
      for (Detection& d : found) {
        d.box = to_level_0(d.box, tile);
        job.found.push_back({d, tile.index, to_inner_edge(d.box, tile)});
      }
    } catch (const Error& e) {
      job.failure = p.result.path + ": " + e.what();
    } catch (const std::bad_alloc&) {
      job.failure = p.result.path + ": out of memory; use smaller tiles or fewer streams";
    }
  }

  void consume(Job& job) {
    OpenImage& p = *job.image;
    DetectedImage& r = p.result;
    if (job.look) {
      take(p, job);
      return;
    }
    if (!started_) {
      started_ = true;
      at_work_ = job.image;
      tiles_done_ = 0;
      if (hooks_.started) hooks_.started(static_cast<size_t>(r.index), static_cast<int>(p.tiles.size()));
    }
    if (job.tile && !r.failed()) {
      take(p, job);
      ++tiles_done_;
      if (hooks_.tile) hooks_.tile(static_cast<size_t>(r.index));
    }
    if (!job.last) return;
    started_ = false;
    at_work_.reset();
    // One image is finished at a time, beside the tiles of the next.
    if (finishing_.valid()) finishing_.get();
    finishing_ =
        start_anywhere([this, open = job.image, pending = std::move(pending_)]() mutable { finish(*open, std::move(pending)); });
    pending_ = {};
  }

  void take(OpenImage& p, Job& job) {
    DetectedImage& r = p.result;
    if (!job.failure.empty()) r.fail(job.failure);
    r.times.read += job.times.read;
    r.times.resize += job.times.resize;
    r.times.network += job.times.network;
    r.times.decode += job.times.decode;
    r.bad_tiles += job.bad;
    r.fallback_tiles += job.fell_back;
    r.coarser_tiles += job.coarser;
    if (!job.damage.empty() && r.damage == p.slide->damage) r.damage = job.damage + (r.damage.empty() ? "" : "; ") + r.damage;
    if (r.bad_tiles > p.bad_limit)
      r.fail(r.path + ": " + (p.bad_limit ? "more than " + std::to_string(p.bad_limit) : std::string("one")) + " of " +
             std::to_string(p.tiles.size()) + " tiles damaged (--max-bad-tiles " + settings_.max_bad_tiles + "): " + r.damage);
    if (r.failed())
      p.given_up = true;
    else
      pending_.insert(pending_.end(), job.found.begin(), job.found.end());
  }

  // is_part: not all tiles were run.
  void finish(OpenImage& p, std::vector<RawDetection> pending, bool is_part = false) {
    DetectedImage& r = report_.images[static_cast<size_t>(p.result.index)];
    r = std::move(p.result);
    finished_[static_cast<size_t>(r.index)] = true;
    if (r.state == ImageState::waiting) {
      Stopwatch watch;
      r.state = ImageState::done;
      try {
        if (settings_.raw_only)
          r.raw = std::move(pending);
        else
          r.detections = merge_raw(pending, r.tiled, settings_);
        if (!p.parts.empty()) std::erase_if(r.detections, [&](const Detection& d) { return !in_some_part(p.parts, d.box); });
        if (p.roi) std::erase_if(r.detections, [&](const Detection& d) { return !p.roi->holds(d.box); });
      } catch (const std::bad_alloc&) {
        r.fail(r.path + ": out of memory while merging; use a higher --score");
      }
      r.times.merge = watch.ms() / 1000;
      if (is_part)
        r.fail(r.path + ": was stopped after " + std::to_string(tiles_done_) + " of " + std::to_string(p.tiles.size()) +
               " tiles");
    }
    if (hooks_.done) try {
        hooks_.done(r);
      } catch (const Error& e) {
        if (!r.failed()) r.fail(e.what());
        r.detections.clear();
      }
    r.mask = {};
  }

  Detector& detector_;
  const std::vector<std::string>& inputs_;
  const DetectSettings& settings_;
  const DetectHooks& hooks_;
  ImageOpener opener_;
  DetectReport report_;
  std::vector<char> finished_;  // per input
  // State of produce():
  std::future<std::shared_ptr<OpenImage>> opening_;
  std::shared_ptr<OpenImage> current_;
  size_t next_input_ = 0, next_tile_ = 0, next_look_ = 0;
  // State of consume():
  bool started_ = false;
  std::shared_ptr<OpenImage> at_work_;  // that has started and not ended
  int64_t tiles_done_ = 0;              // of it
  std::vector<RawDetection> pending_;
  std::future<void> finishing_;
};

}  // namespace

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
  return static_cast<int>(std::count_if(images.begin(), images.end(), [](const DetectedImage& r) { return r.failed(); }));
}

DetectReport detect(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                    const DetectHooks& hooks) {
  check(settings);
  return Batch(detector, inputs, settings, hooks).run();
}

DetectReport detect_with_progress(Detector& detector, const std::vector<std::string>& inputs, const DetectSettings& settings,
                                  const std::function<void(DetectedImage&)>& done, bool quiet) {
  Progress progress(inputs.size() == 1 ? "detect" : "detect " + std::to_string(inputs.size()) + " inputs", -1, "tiles", quiet);
  DetectHooks hooks;
  hooks.done = done;
  hooks.tile = [&](size_t) { progress.add(); };
  return detect(detector, inputs, settings, hooks);
}

}  // namespace cytodet::pipeline
