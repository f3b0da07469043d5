#include "pipeline/cli/detect_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/parallel.h"
#include "pipeline/detect/image_pipeline.h"

namespace cytodet::pipeline {

void DetectFlags::add(CLI::App& app) {
  app.add_option("--model", model, "Model file (.json), or a graph with one beside it");
  app.add_option("--config", config, "Run config (.json); options override it");
  app.add_option("--mode", mode, "auto, image (shrink the whole image) or slide (tiles)");
  selection.add(app);
  app.add_option("--tile", tile, "Tile side in pixels of the working resolution");
  app.add_option("--overlap", overlap, "Pixels that neighbouring tiles share");
  app.add_option("--network-px", network_px,
                 "Compile the network for images of this side, or width,height; without --tile, tiles grow with it")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_flag("--fit-edges", fit_edges, "Last row and column of tiles only as large as what is left to cover");
  app.add_option("--cascade", cascade,
                 "First look at this share of the resolution: tiles in which it finds nothing are left out");
  app.add_option("--cascade-score", cascade_score, "Least score of a box of the first look (0.05)");
  app.add_option("--level", level, "Work at this pyramid level");
  app.add_option("--mpp", mpp, "Work at this many micrometres per pixel");
  app.add_option("--assume-mpp", assume_mpp, "Micrometres per pixel of slides that do not say");
  app.add_option("--set-mpp", set_mpp, "Micrometres per pixel, or x,y, whatever the slide says")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--scale", scale, "Work at this share of full resolution (0..1]");
  app.add_option("--score", score, "Minimum score of a detection");
  app.add_option("--detections", detections, "Most detections per image or tile");
  app.add_option("--nms", nms, "hard or gaussian");
  app.add_option("--iou", iou, "Suppress boxes of a class that overlap more");
  app.add_option("--merge", merge, "How overlapping tiles are joined: owner, nms, soft_nms, greedy_nmm, nmm, wbf");
  app.add_option(
      "--roi", roi,
      "Regions of interest: GeoJSON(.gz, .zip), ASAP or ImageScope XML, HistomicsTK, labelme, COCO; or a folder of them");
  app.add_option("--roi-class", roi_class, "Regions of these classes alone: NAME[,NAME]")->delimiter(',');
  app.add_option("--roi-ignore", roi_ignore, "Regions of these classes are taken off the others: NAME[,NAME]")->delimiter(',');
  app.add_option("--origin", origin,
                 "Where GeoJSON counts from, read and written: bounds (of what was scanned, as QuPath) or slide");
  app.add_option("--background", background, "Skip bare glass: none, otsu, variance");
  app.add_option("--max-bad-tiles", max_bad_tiles, "Damaged tiles that a slide may have: a number, or a share such as 5%");
  app.add_option("--streams", streams, "Networks at work at once; 0: one per core");
  app.add_option("--threads", threads, "Threads inside one network");
  app.add_option("--precision", precision, "What layers in float are computed in: graph (as they are) or bf16");
  app.add_option("--hint", hint, "What streams and threads are chosen for, where not given: throughput or latency");
  app.add_flag("--quiet", quiet, "No progress");
}

RunConfig DetectFlags::settings() const {
  RunConfig c;
  if (!config.empty()) c = read_run_config(config);
  if (!model.empty()) c.model = model;
  DetectSettings& d = c.detect;
  if (!mode.empty()) d.mode = mode_named(mode);
  selection.apply(d.selection);
  set_tiling(d.tiling);
  if (!merge.empty()) d.merge.method = merge_method_named(merge);
  if (iou) d.merge.iou = *iou;
  set_regions(d);
  if (!background.empty()) d.background = background_method_named(background);
  if (!max_bad_tiles.empty()) d.max_bad_tiles = max_bad_tiles;
  set_streams(d);
  set_network(c);
  if (!precision.empty()) d.precision = precision_named(precision);
  if (score) d.score = score;
  if (c.model.empty()) throw UsageError("--model", "is missing", "name a model file or a config");
  check(d);
  return c;
}

void DetectFlags::set_tiling(TilingSettings& t) const {
  if (tile) t.tile_px = *tile;
  if (overlap)
    t.overlap_px = *overlap;
  else if (tile)
    t.overlap_px = *tile / 4;
  if (level || mpp || scale) {
    t.level = level;
    t.mpp = mpp;
    t.scale = scale;
  }
  if (!set_mpp.empty()) {
    t.set_mpp = set_mpp;
    t.assume_mpp.reset();  // of the config
  }
  if (assume_mpp) t.assume_mpp = assume_mpp;
}

void DetectFlags::set_network(RunConfig& c) const {
  DetectSettings& d = c.detect;
  if (fit_edges) d.tiling.fit_edges = true;
  if (cascade) {
    if (!d.cascade) d.cascade.emplace();
    d.cascade->scale = *cascade;
  }
  if (cascade_score) {
    if (!d.cascade) throw UsageError("--cascade-score", "needs a first look", "give --cascade SCALE, such as 0.5");
    d.cascade->score = *cascade_score;
  }
  if (network_px.empty()) return;
  check_network_px(network_px, "--network-px");
  if (!tile && !c.model.empty()) {  // cells keep their size in the network
    const int frozen = d.network_px.empty() ? load_model(c.model).input.width : d.network_px.front();
    d.tiling.tile_px = static_cast<int>(std::lround(static_cast<double>(d.tiling.tile_px) * network_px.front() / frozen));
  }
  d.network_px = network_px;
}

void DetectFlags::set_regions(DetectSettings& d) const {
  if (!origin.empty()) d.origin = origin_named(origin, "--origin");
  if (!roi.empty()) d.roi = roi;
  if (!roi_class.empty()) d.roi_class = roi_class;
  if (!roi_ignore.empty()) d.roi_ignore = roi_ignore;
}

void DetectFlags::set_streams(DetectSettings& d) const {
  if (streams) d.streams = *streams;
  if (threads) d.threads_per_stream = *threads;
  if (hint.empty()) return;
  const auto parallel =
      share_cpus({std::max(streams.value_or(0), 0), std::max(threads.value_or(0), 0)}, parallel_hint_named(hint));
  d.streams = parallel.streams;
  d.threads_per_stream = parallel.threads;
}

Detector DetectFlags::detector(const RunConfig& c) const {
  ModelFile m = with_settings(load_model(c.model), c.detect);
  if (detections) m.suppression.detections = *detections;
  if (!nms.empty()) m.suppression.method = suppression_method_named(nms, "--nms");
  if (iou) m.suppression.iou = *iou;
  check(m, c.model);
  return Detector(std::move(m), c.detect);
}

}  // namespace cytodet::pipeline
