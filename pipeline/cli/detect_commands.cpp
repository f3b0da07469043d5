// detect, evaluate.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/parallel.h"
#include "eval/coco.h"
#include "pipeline/cli/command_files.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/selection_flags.h"
#include "pipeline/config/run_config.h"
#include "pipeline/detect/evaluate.h"
#include "pipeline/detect/run_detection.h"
#include "pipeline/detect/stop_signal.h"
#include "pipeline/detect/timing.h"
#include "pipeline/inputs/companions.h"
#include "pipeline/report/error_report.h"
#include "pipeline/results/formats/summary.h"

namespace cytodet::pipeline {
namespace {

// Options that detect and evaluate share; they override the config.
struct DetectFlags {
  std::string model, config;
  std::optional<int> tile, overlap, level, streams, threads, detections;
  std::optional<double> mpp, assume_mpp, scale, score, iou;
  std::vector<double> set_mpp;
  std::string mode, merge, nms, hint, precision, background, roi, origin, max_bad_tiles;
  std::vector<std::string> roi_class, roi_ignore;
  bool quiet = false;
  SelectionFlags selection;

  void add(CLI::App& app) {
    app.add_option("--model", model, "Model file (.json), or a graph with one beside it");
    app.add_option("--config", config, "Run config (.json); options override it");
    app.add_option("--mode", mode, "auto, image (shrink the whole picture) or slide (tiles)");
    selection.add(app);
    app.add_option("--tile", tile, "Tile side in pixels of the working resolution");
    app.add_option("--overlap", overlap, "Pixels that neighbouring tiles share");
    app.add_option("--level", level, "Work at this pyramid level");
    app.add_option("--mpp", mpp, "Work at this many micrometres per pixel");
    app.add_option("--assume-mpp", assume_mpp, "Micrometres per pixel of slides that do not say");
    app.add_option("--set-mpp", set_mpp, "Micrometres per pixel, or x,y, whatever the slide says")
        ->delimiter(',')
        ->allow_extra_args(false);
    app.add_option("--scale", scale, "Work at this share of full resolution (0..1]");
    app.add_option("--score", score, "Least score of a detection");
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

  RunConfig settings() const {
    RunConfig c;
    if (!config.empty()) c = read_run_config(config);
    if (!model.empty()) c.model = model;
    DetectSettings& d = c.detect;
    if (!mode.empty()) d.mode = mode;
    selection.apply(d.selection);
    if (tile) d.tiling.tile_px = *tile;
    if (overlap)
      d.tiling.overlap_px = *overlap;
    else if (tile)
      d.tiling.overlap_px = *tile / 4;
    if (level || mpp || scale) {
      d.tiling.level = level;
      d.tiling.mpp = mpp;
      d.tiling.scale = scale;
    }
    if (!set_mpp.empty()) {
      d.tiling.set_mpp = set_mpp;
      d.tiling.assume_mpp.reset();  // of the config
    }
    if (assume_mpp) d.tiling.assume_mpp = assume_mpp;
    if (!origin.empty()) d.origin = origin;
    if (!merge.empty()) d.merge.method = merge;
    if (iou) d.merge.iou = *iou;
    if (!roi.empty()) d.roi = roi;
    if (!roi_class.empty()) d.roi_class = roi_class;
    if (!roi_ignore.empty()) d.roi_ignore = roi_ignore;
    if (!background.empty()) d.background = background;
    if (!max_bad_tiles.empty()) d.max_bad_tiles = max_bad_tiles;
    if (streams) d.streams = *streams;
    if (threads) d.threads_per_stream = *threads;
    if (!precision.empty()) d.precision = precision;
    if (score) d.score = score;
    if (!hint.empty()) {
      Sharing sharing = share_cpus({std::max(streams.value_or(0), 0), std::max(threads.value_or(0), 0)}, hint);
      d.streams = sharing.streams;
      d.threads_per_stream = sharing.threads;
    }
    if (c.model.empty()) throw UsageError("--model", "is missing", "name a model file or a config");
    check(d);
    return c;
  }

  Detector detector(const RunConfig& c) const {
    ModelFile m = with_settings(load_model(c.model), c.detect);
    if (detections) m.suppression.detections = *detections;
    if (!nms.empty()) m.suppression.method = nms;
    if (iou) m.suppression.iou = *iou;
    check(m, c.model);
    return Detector(std::move(m), detector_options(c.detect));
  }
};

int detect_command(Detector detector, const RunConfig& c, const FolderOptions& options, bool timing) {
  const FolderRun run = detect_to_folder(detector, c, options);
  const std::vector<SlideState>& slides = run.state.inputs;
  if (slides.size() > 1 || slides[0].tiled) std::fputs((run_table(run.state) + "\n").c_str(), stdout);
  int64_t boxes = 0;
  for (const SlideState& s : slides) boxes += s.detections;
  const auto companions = std::count_if(slides.begin(), slides.end(), [](const SlideState& s) { return is_companion(s); });
  std::printf("%d of %zu inputs done, %lld detections in %s; %.1f s\n", run.state.count("done"),
              slides.size() - static_cast<size_t>(companions), static_cast<long long>(boxes),
              RunFolder{c.output}.detections_json().c_str(), run.report.wall_ms / 1000);
  if (timing) std::fputs(timing_table(run.report).c_str(), stdout);
  if (run.signal) end_by(run.signal);
  return exit_of(run);
}

}  // namespace

std::function<int()> setup_detect(CLI::App& app) {
  struct Options : DetectFlags {
    std::vector<std::string> inputs, outputs;
    std::string out, truth, density_area;
    bool overlay = false, timing = false;
    double overlay_score = -1;
    std::string overlay_format, shard, log = "text";
    FolderOptions folder;
  };
  auto o = std::make_shared<Options>();
  o->add(app);
  app.add_option("INPUT", o->inputs, "Images, slides, folders, patterns (\"slides/*.svs\"), lists (@list.txt)");
  app.add_option("-o,--out", o->out, "Folder for the results");
  app.add_option("--truth", o->truth, "COCO truth that gives the image ids");
  app.add_flag("--overlay", o->overlay, "Also a picture with boxes per input");
  app.add_option("--overlay-format", o->overlay_format, "png (default) or jpg");
  app.add_option("--overlay-score", o->overlay_score, "Least score of a box in the picture");
  app.add_option("--outputs", o->outputs, "Also these forms per input: " + output_names())
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--density-area", o->density_area,
                 "What boxes per mm2 are of: regions (all that was looked at), tiles (less background) or slide");
  app.add_flag("--timing", o->timing, "Print the timing table");
  app.add_flag("--resume", o->folder.resume, "Keep what an earlier start finished with the same settings");
  app.add_flag(
      "--overwrite", o->folder.overwrite,
      "Also replace results of a version that kept no list of its files, where their content tells that they are its own");
  app.add_option("--shard", o->shard, "i/n: only every n-th slide of the list, from the i-th on; see collect");
  app.add_flag("--mask-picture", o->folder.mask_picture, "Also a picture per slide of what --background skips");
  app.add_option("--log", o->log, "text, or json: one object a line on stderr")->check(CLI::IsMember({"text", "json"}));
  return [o] {
    RunConfig c = o->settings();
    if (!o->inputs.empty()) c.inputs = o->inputs;
    if (!o->out.empty())
      c.output = o->out;
    else if (o->config.empty())
      throw UsageError("cytodet detect", "needs -o OUTDIR");
    if (!o->truth.empty()) c.truth = o->truth;
    c.overlay = c.overlay || o->overlay;
    if (!o->outputs.empty()) c.outputs = o->outputs;
    if (!o->density_area.empty()) c.density_area = o->density_area;
    check_density_area(c.density_area);
    if (o->overlay_score >= 0) c.overlay_score = o->overlay_score;
    if (!o->overlay_format.empty()) c.overlay_format = o->overlay_format;
    if (c.inputs.empty()) throw UsageError("cytodet detect", "needs at least one INPUT");
    if (!o->shard.empty()) parse_shard(o->shard, o->folder);
    o->folder.log = {o->log == "json", o->quiet};
    if (!o->config.empty()) o->folder.read_also = {o->config};
    try {
      return detect_command(o->detector(c), c, o->folder, o->timing);
    } catch (const Error& e) {
      if (!o->folder.log.json) throw;
      RunLog(o->folder.log).error(e.what());
      return static_cast<int>(e.code());
    }
  };
}

std::function<int()> setup_evaluate(CLI::App& app) {
  struct Options : DetectFlags {
    std::string truth, detections_file, out;
    std::vector<std::string> images;
    std::vector<int> max_dets;
    bool map = false, timing = false, curves = false, id0 = false, pooled = false;
    ErrorReport errors;
  };
  auto o = std::make_shared<Options>();
  o->add(app);
  o->errors.add(app);
  app.remove_option(app.get_option("--detections"));
  app.add_option("--truth", o->truth, "COCO truth")->required();
  app.add_option("--detections", o->detections_file, "COCO results to score");
  app.add_option("--images", o->images, "Images, slides or folders: with --model to detect on, with --worst to draw");
  app.add_flag("--map", o->map, "COCO's figures and the table per class (the default)");
  app.add_flag("--timing", o->timing, "The timing table");
  app.add_option("--max-dets", o->max_dets, "Detections per image and class that are scored: one number, or an ascending list")
      ->delimiter(',');
  app.add_flag("--pooled", o->pooled, "All classes as one");
  app.add_flag("--pycocotools-id0", o->id0, "Count matches with annotation id 0 as misses, as pycocotools does");
  app.add_flag("--curves", o->curves, "Precision-recall data in the report");
  app.add_option("-o,--out", o->out, "Report (.json)");
  return [o] {
    OutputPlan plan;
    if (!o->config.empty()) add_config(plan, read_run_config(o->config));
    plan.add_input(o->config, "the run config");
    add_model(plan, o->model);
    plan.add_input(o->truth, "the truth");
    plan.add_input(o->detections_file, "the detections");
    add_pictures(plan, o->images);
    add_regions(plan, o->roi);
    plan.add_output(o->out, "the report");
    plan.add_output(o->errors.worst, "the picture of errors");
    check_outputs(plan);
    Truth truth = read_truth(o->truth);
    ScoreOptions options;
    if (o->max_dets.size() == 1) {
      options.max_dets = {std::min(1, o->max_dets[0]), std::min(10, o->max_dets[0]), o->max_dets[0]};
    } else if (!o->max_dets.empty()) {
      options.max_dets = o->max_dets;
    }
    options.use_categories = !o->pooled;
    options.pycocotools_id0 = o->id0;
    DetectionSet set;
    Json report_json;
    int code = 0;
    std::string table, roi = o->roi, origin = o->origin.empty() ? "bounds" : o->origin;
    ImageSelection selection;
    RoiChoice choice{o->roi_class, o->roi_ignore};
    std::vector<std::string> inputs;
    if (!o->errors.worst.empty() && !o->detections_file.empty() && o->images.empty())
      throw UsageError("--worst", "needs --images", "name the folder of the truth's images");
    if (!o->detections_file.empty()) {
      if ((!o->images.empty() && o->errors.worst.empty()) || !o->model.empty())
        throw UsageError("cytodet evaluate", "takes --detections, or --model and --images, not both");
      set = read_detections(o->detections_file, truth, paths_beside(o->detections_file));
      if (!o->images.empty()) inputs = pictures_of(truth, o->images, o->truth, set.warnings);
      if (o->timing) std::fputs("cytodet: warning: --timing needs --model and --images\n", stderr);
    } else {
      RunConfig c = o->settings();
      if (!o->images.empty()) c.inputs = o->images;
      if (c.inputs.empty()) throw UsageError("cytodet evaluate", "needs --detections, or --model and --images");
      roi = c.detect.roi;
      selection = c.detect.selection;
      choice = roi_choice(c.detect);
      origin = c.detect.origin;
      Detector detector = o->detector(c);
      std::vector<std::string> matching;
      inputs = pictures_of(truth, c.inputs, o->truth, matching);
      DetectReport report = detect(
          detector, inputs, c.detect,
          [](PictureResult& r) {
            if (!r.problem.empty()) print_error(r.problem);
            for (const std::string& w : r.warnings) print_warning(r.path + ": " + w);
          },
          o->quiet);
      set = to_set(report, truth, detector.model());
      set.warnings.insert(set.warnings.begin(), matching.begin(), matching.end());
      if (inputs.size() < truth.images.size())
        set.warnings.push_back(std::to_string(truth.images.size() - inputs.size()) +
                               " images of the truth were not given; their cells count as missed");
      report_json["timing"] = timing_json(report);
      report_json["timing"]["load_ms"] = detector.load_ms();
      report_json["settings"] = write_settings(c);
      if (o->timing) table = timing_table(report);
      code = exit_of(report);
    }
    keep_in_roi(roi, places_of(origin, inputs.empty() ? files_beside(truth, o->truth) : inputs), truth, set, choice);
    Scores scores = score(truth, set, options);
    warn(scores.warnings);
    std::fputs((to_text(scores) + "\n" + class_table(scores)).c_str(), stdout);
    if (!table.empty()) std::fputs(("\n" + table).c_str(), stdout);
    Json s = to_json(scores, o->curves);
    for (auto it = s.begin(); it != s.end(); ++it) report_json[it.key()] = it.value();
    if (o->errors.wanted()) {
      ErrorOptions what;
      what.max_dets = options.max_dets.back();
      if (!o->detections_file.empty()) o->selection.apply(selection);
      o->errors.run(truth, set, what, inputs, selection, report_json);
    }
    if (!o->out.empty()) write_file(o->out, report_json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
    return code;
  };
}

}  // namespace cytodet::pipeline
