// cytodet detect: images and slides in, boxes out.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/text_width.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/detect_flags.h"
#include "pipeline/detect/run_detection.h"
#include "pipeline/detect/stop_signal.h"
#include "pipeline/detect/timing_table.h"
#include "pipeline/inputs/list_inputs.h"
#include "pipeline/results/formats/output.h"

namespace cytodet::pipeline {
namespace {

struct DetectOptions : DetectFlags {
  std::vector<std::string> inputs, outputs;
  std::string out, truth, density_area;
  bool overlay = false, timing = false, list = false;
  std::optional<double> overlay_score, operating_score;
  std::string overlay_format, shard, log = "text";
  FolderOptions folder;
};

void add_options(CLI::App& app, DetectOptions* o) {
  o->add(app);
  app.add_option("INPUT", o->inputs, "Images, slides, folders, patterns (\"slides/*.svs\"), lists (@list.txt)");
  app.add_option("-o,--out", o->out, "Folder for the results");
  app.add_flag("--list", o->list, "Print the slides that the inputs name, one a line, and end");
  app.add_option("--truth", o->truth, "COCO ground truth that gives the image ids");
  app.add_flag("--overlay", o->overlay, "Also a picture with boxes per input");
  app.add_option("--overlay-format", o->overlay_format, "png (default) or jpg");
  app.add_option("--overlay-score", o->overlay_score, "Minimum score of a box in the picture (default: those that count)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--operating-score", o->operating_score,
                 "Score from which boxes of all classes count (default: the operating point of the model file)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--outputs", o->outputs, "Also these forms per input: " + output_names())
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--density-area", o->density_area,
                 "What boxes per mm2 are of: regions (all that was looked at), tiles (less background) or slide");
  app.add_flag("--timing", o->timing, "Print the timing table");
  app.add_flag("--resume", o->folder.resume, "Keep what an earlier start finished with the same settings");
  app.add_flag(
      "--overwrite", o->folder.overwrite,
      "Also replace results of a version that kept no list of its files, where their content proves that they are its own");
  app.add_option(
      "--shard", o->shard,
      "i/n: only every n-th slide of the list, from the i-th on; auto or auto/N: as the scheduler says, in a folder of its "
      "own inside OUT; see collect");
  app.add_flag("--mask-image,--mask-picture", o->folder.mask_image, "Also an image per slide of what --background skips");
  app.add_option("--log", o->log, "text, or json: one object a line on stderr")->check(CLI::IsMember({"text", "json"}));
}

RunConfig config_of(const DetectOptions& o) {
  RunConfig c = o.settings();
  if (!o.inputs.empty()) c.inputs = o.inputs;
  if (!o.out.empty())
    c.output = o.out;
  else if (o.config.empty())
    throw UsageError("cytodet detect", "needs -o OUTDIR");
  if (!o.truth.empty()) c.truth = o.truth;
  c.overlay = c.overlay || o.overlay;
  if (!o.outputs.empty()) c.outputs = o.outputs;
  if (!o.density_area.empty()) c.density_area = density_of_named(o.density_area);
  if (o.overlay_score) c.overlay_score = o.overlay_score;
  if (o.operating_score) c.operating_score = o.operating_score;
  if (!o.overlay_format.empty()) c.overlay_format = overlay_format_named(o.overlay_format, "--overlay-format");
  if (c.inputs.empty()) throw UsageError("cytodet detect", "needs at least one INPUT");
  return c;
}

// In the order in which shards count them.
int print_slides(const DetectOptions& o) {
  const std::vector<std::string> inputs = o.inputs.empty() && !o.config.empty() ? read_run_config(o.config).inputs : o.inputs;
  if (inputs.empty()) throw UsageError("cytodet detect", "needs at least one INPUT");
  for (const std::string& file : list_images(inputs).files) std::puts(file.c_str());
  return 0;
}

int detect_command(Detector detector, const RunConfig& c, const FolderOptions& options, bool timing) {
  const FolderRun run = detect_to_folder(detector, c, options);
  const std::vector<ImageResult>& slides = run.state.inputs;
  if (slides.size() > 1 || slides[0].tiled) std::fputs((run_table(run.state) + "\n").c_str(), stdout);
  int64_t boxes = 0, counted = 0;
  for (const ImageResult& s : slides) boxes += s.detection_count, counted += s.counted_sum();
  const auto companions = std::count_if(slides.begin(), slides.end(), [](const ImageResult& s) { return is_companion(s); });
  std::printf("%d of %zu inputs done, %lld detections in %s; %.1f s\n", run.state.count(ImageState::done),
              slides.size() - static_cast<size_t>(companions), static_cast<long long>(boxes),
              RunFolder{c.output}.detections_json().c_str(), run.report.wall_ms / 1000);
  const CountingScores counting = counting_of(run.state);
  std::printf("%lld boxes count %s\n%s", static_cast<long long>(counted),
              printable(text_of(counting, run.state.model.classes)).c_str(),
              counting.source == kDefaultPoint ? (std::string(kPointHint) + "\n").c_str() : "");
  if (timing) std::fputs(timing_table(run.report).c_str(), stdout);
  if (run.signal) end_by(run.signal);
  return exit_of(run);
}

}  // namespace

std::function<int()> setup_detect(CLI::App& app) {
  auto o = std::make_shared<DetectOptions>();
  add_options(app, o.get());
  return [o] {
    if (o->list) return print_slides(*o);
    RunConfig c = config_of(*o);
    if (!o->shard.empty()) parse_shard(o->shard, o->folder);
    if (is_automatic(o->shard)) c.output = (std::filesystem::path(c.output) / shard_folder(o->folder)).string();
    o->folder.log = {.json = o->log == "json", .quiet = o->quiet, .hear = {}};
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

}  // namespace cytodet::pipeline
