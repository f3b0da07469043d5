#include "pipeline/run_config.h"

#include <set>

#include "core/cpu.h"
#include "core/file.h"
#include "eval/truth.h"
#include "pipeline/timing_report.h"
#include "tiling/image_io.h"
#include "tiling/overlay.h"

namespace cytodet {
namespace {

// File names of a batch's results: the stem, made unique.
std::string result_name(const std::string& path, std::set<std::string>& taken) {
  std::string stem = std::filesystem::path(path).stem().string(), name = stem;
  if (name.empty() || name == "run" || name == "detections") name += "_picture";
  for (int i = 2; !taken.insert(name).second; ++i) name = stem + "_" + std::to_string(i);
  return name;
}

}  // namespace

void fields(Fields& f, EvaluateSettings& s) {
  f("max_dets", s.max_dets);
  f("per_class", s.per_class);
}

void fields(Fields& f, RunConfig& s) {
  f("model", s.model);
  f("inputs", s.inputs);
  f("truth", s.truth);
  f("output", s.output);
  f("overlay", s.overlay);
  f("overlay_score", s.overlay_score);
  f("overlay_format", s.overlay_format);
  f("detect", s.detect);
  f("evaluate", s.evaluate);
  f("quantize", s.quantize);
}

RunConfig read_run_config(const std::filesystem::path& path) {
  return parse_run_config(read_json(path, int64_t{16} << 20), path);
}

RunConfig parse_run_config(const Json& json, const std::filesystem::path& path) {
  RunConfig c;
  read_settings(json, c, path.string());
  if (c.model.empty()) throw UsageError(path.string() + ": model", "is missing", "name a model file");
  if (c.inputs.empty()) throw UsageError(path.string() + ": inputs", "is empty", "name images, slides or folders");
  try {
    check(c.detect);
    if (c.quantize) check(*c.quantize);
  } catch (const Error& e) {
    throw e.within(path.string());
  }
  auto resolve = [&](std::string& p) {
    if (!p.empty() && std::filesystem::path(p).is_relative()) p = (path.parent_path() / p).lexically_normal().string();
  };
  resolve(c.model);
  resolve(c.truth);
  resolve(c.output);
  for (std::string& input : c.inputs) resolve(input);
  if (c.quantize) {
    resolve(c.quantize->ranges);
    resolve(c.quantize->images);
    if (c.quantize->max_drop >= 0 && (c.truth.empty() || c.quantize->images.empty()))
      throw UsageError(path.string() + ": quantize.max_drop", "needs truth and quantize.images");
  }
  return c;
}

DetectReport detect_to_folder(Detector& detector, const RunConfig& config, std::vector<int64_t>& ids, bool quiet) {
  if (config.overlay_format != "png" && config.overlay_format != "jpg")
    throw UsageError("overlay_format", "must be png or jpg, not \"" + config.overlay_format + "\"");
  make_folder(config.output);
  std::filesystem::path folder = config.output;
  { AtomicFile writable(folder / "run.json"); }
  std::vector<std::string> inputs = expand_inputs(config.inputs);
  Truth truth;
  if (!config.truth.empty()) truth = read_truth(config.truth);
  ids.clear();
  for (size_t i = 0; i < inputs.size(); ++i) {
    int known = truth.image_named(std::filesystem::path(inputs[i]).filename().string());
    ids.push_back(known >= 0 ? truth.images[static_cast<size_t>(known)].id : static_cast<int64_t>(i) + 1);
  }
  const ModelFile& m = detector.model();
  std::vector<int> category_ids;
  for (int c = 0; c < m.class_count(); ++c) category_ids.push_back(m.category_id(c));
  std::set<std::string> taken;
  std::vector<std::string> names;
  for (const std::string& input : inputs) names.push_back(result_name(input, taken));
  size_t at = 0;
  DetectReport report = detect(
      detector, inputs, config.detect,
      [&](PictureResult& r) {
        const std::string& name = names[at++];
        try {
          if (!r.problem.empty()) throw Error("", r.problem);
          write_competition_results(r.detections, folder / (name + ".json"));
          if (config.overlay)
            write_image(draw_overlay(*open_slide(r.path), r.detections, m.classes, {config.overlay_score, 2048}),
                        folder / (name + "." + config.overlay_format));
        } catch (const Error& e) {
          std::fprintf(stderr, "cytodet: error: %s\n", e.what());
          throw;
        }
      },
      quiet);
  std::vector<ImageDetections> all;
  Json run;
  run["version"] = CYTODET_VERSION;
  run["isa"] = name_of(isa());
  run["settings"] = write_settings(config);
  run["inputs"] = Json::array();
  for (size_t i = 0; i < report.pictures.size(); ++i) {
    const PictureResult& r = report.pictures[i];
    Json one{{"path", r.path}, {"image_id", ids[i]}, {"state", r.problem.empty() ? "done" : "failed"}};
    if (!r.problem.empty()) {
      one["reason"] = r.problem;
    } else {
      one["result"] = names[i] + ".json";
      one["width"] = r.width;
      one["height"] = r.height;
      one["tiles"] = r.tiles;
      one["detections"] = r.detections.size();
      one["ms"] = {{"read", r.times.read_ms},
                   {"resize", r.times.resize_ms},
                   {"network", r.times.network_ms},
                   {"decode", r.times.decode_ms},
                   {"merge", r.times.merge_ms}};
      all.push_back({ids[i], r.path, r.detections});
    }
    run["inputs"].push_back(std::move(one));
  }
  run["timing"] = timing_json(report);
  write_coco_results(all, category_ids, folder / "detections.json");
  write_file(folder / "run.json", run.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  return report;
}

}  // namespace cytodet
