// calibrate.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>

#include "core/error.h"
#include "graph/case.h"
#include "graph/io.h"
#include "graph/pass.h"
#include "pipeline/commands.h"
#include "pipeline/detect.h"
#include "quant/calibrate.h"

namespace cytodet {
namespace {

struct CalibrateFlags {
  std::string graph, images, out, values = "layers", log, from_log;
  int max_images = 100;
  CalibrateOptions options;
};

// The optimized graph, and what to feed and fetch.
struct Subject {
  std::optional<ModelFile> model;
  std::string path;
  Graph graph;
  PlanOptions plan;
};

bool has_model_file(const std::string& path) {
  std::error_code ignored;
  return path.ends_with(".json") || std::filesystem::exists(std::filesystem::path(path).replace_extension(".json"), ignored);
}

Subject read_subject(const std::string& path) {
  Subject s;
  PassOptions passes;
  if (has_model_file(path)) {
    s.model = load_model(path);
    const ModelFile& m = *s.model;
    s.path = m.graph;
    s.plan.outputs = m.class_logits;
    s.plan.outputs.insert(s.plan.outputs.end(), m.box_deltas.begin(), m.box_deltas.end());
    s.plan.input_shapes[m.input.node] = {1, m.input.height, m.input.width, 3};
    passes.interface = {{m.input.node}, s.plan.outputs};
  } else {
    s.path = path;
  }
  s.graph = read_graph(s.path);
  try {
    run_passes(s.graph, passes);
  } catch (const Error& e) {
    throw e.within(s.path);
  }
  return s;
}

// At most `most`, evenly spaced.
std::vector<std::string> chosen(const std::vector<std::string>& files, int most) {
  const auto n = static_cast<int64_t>(files.size()), take = std::min<int64_t>(n, most);
  std::vector<std::string> some;
  for (int64_t i = 0; i < take; ++i) some.push_back(files[static_cast<size_t>(i * n / take)]);
  return some;
}

// The whole picture; of one that detection would cut into tiles, the tile in the middle.
Image read_picture(const std::string& path, const InputSettings& input) {
  std::unique_ptr<Slide> slide = open_slide(path);
  const int64_t side = 2 * std::max(input.width, input.height);
  Tile tile;
  tile.width = static_cast<int>(slide->width());
  tile.height = static_cast<int>(slide->height());
  try {
    if (slide->levels.size() > 1 || slide->width() > side || slide->height() > side) {
      std::vector<Tile> tiles = make_grid(*slide, {});
      tile = tiles[tiles.size() / 2];
    }
    return read_tile(*slide, tile);
  } catch (const Error& e) {
    throw e.within(path);
  }
}

void feed_picture(const std::string& path, const InputSettings& input, Runner& runner) {
  Image image = read_picture(path, input);
  preprocess(image, input, letterbox_of(image.width, image.height, input), runner.input(0).data<float>());
}

void feed_case(const std::string& path, const Graph& graph, Runner& runner) {
  NamedTensors feeds = read_case(path).inputs;
  try {
    for (size_t i = 0; i < runner.plan().inputs().size(); ++i) {
      const std::string& name = runner.plan().inputs()[i].name;
      auto feed = std::find_if(feeds.begin(), feeds.end(),
                               [&](const auto& f) { return graph.node(graph.value(f.first).node).name == name; });
      if (feed == feeds.end()) throw Error("input " + name, "is not fed");
      runner.set_input(static_cast<int>(i), feed->second);
    }
  } catch (const Error& e) {
    throw e.within(path);
  }
}

// Texts often lie beside images: truth, licence, notes.
bool is_text(const std::string& file) {
  static const std::set<std::string> kTexts{"", ".json", ".txt", ".md", ".csv", ".xml", ".yaml", ".yml"};
  return kTexts.contains(std::filesystem::path(file).extension().string());
}

std::vector<std::string> samples_of(const Subject& s, const std::string& images) {
  std::error_code ignored;
  if (!std::filesystem::exists(images, ignored)) throw Error(images, "cannot open: no such file or folder", "check the path");
  std::vector<std::string> files = expand_inputs({images});
  if (s.model)
    std::erase_if(files, is_text);
  else
    std::erase_if(files, [](const std::string& f) { return !f.ends_with(".json"); });
  if (files.empty() && s.model) throw Error(images, "holds no images", "name a folder of pictures");
  if (files.empty())
    throw Error(images, "holds no feeds (.json)", "write a model file beside " + s.path + " to calibrate on images");
  return files;
}

CalibrationData data_of(Subject& s, const CalibrateFlags& flags) {
  CalibrationData data;
  data.name = std::filesystem::path(flags.images).lexically_normal().filename().string();
  if (data.name.empty()) data.name = std::filesystem::path(flags.images).lexically_normal().parent_path().filename().string();
  std::vector<std::string> files = samples_of(s, flags.images);
  if (!s.model) {
    for (const auto& [name, tensor] : read_case(files.front()).inputs)
      s.plan.input_shapes[s.graph.node(s.graph.value(name).node).name] = tensor.shape();
  }
  data.samples = chosen(files, flags.max_images);
  data.feed = [&s, samples = data.samples](size_t i, Runner& runner) {
    if (s.model)
      feed_picture(samples[i], s.model->input, runner);
    else
      feed_case(samples[i], s.graph, runner);
  };
  return data;
}

void warn(const std::string& text) { std::fprintf(stderr, "cytodet: warning: %s\n", text.c_str()); }

void warn_degenerate(const Ranges& ranges) {
  std::vector<std::string> names;
  for (const auto& [name, range] : ranges.values)
    if (is_degenerate(range)) names.push_back(name);
  if (!names.empty())
    warn(std::to_string(names.size()) + " values were always one number, " + names.front() +
         (names.size() > 1 ? " among them" : "") + "; they are marked as degenerate");
}

int ranges_from_log(const CalibrateFlags& flags) {
  CalibrationLog log = read_log(flags.from_log);
  for (const std::string& problem : log.problems) warn(flags.from_log + ": " + problem);
  if (log.rejected > static_cast<int64_t>(log.problems.size()))
    warn(flags.from_log + ": " + std::to_string(log.rejected) + " records are broken in all");
  Ranges ranges = ranges_of(log, flags.from_log);
  ranges.data = std::filesystem::path(flags.from_log).filename().string();
  ranges.graph_hash = graph_hash(read_subject(flags.graph).graph);
  warn_degenerate(ranges);
  write_ranges(ranges, flags.out);
  std::printf("%zu ranges from %zu records in %s\n", ranges.values.size(), log.records.size(), flags.out.c_str());
  return static_cast<int>(log.rejected ? Exit::partial : Exit::ok);
}

int ranges_from_images(CalibrateFlags& flags) {
  require_observer(flags.options.method);
  Subject subject = read_subject(flags.graph);
  CalibrationData data = data_of(subject, flags);
  flags.options.all_values = flags.values == "all";
  flags.options.records = !flags.log.empty();
  Calibration c;
  try {
    c = calibrate(subject.graph, subject.plan, data, flags.options);
  } catch (const Error& e) {
    throw e.within(subject.path);
  }
  for (const std::string& problem : c.problems) std::fprintf(stderr, "cytodet: error: %s\n", problem.c_str());
  warn_degenerate(c.ranges);
  write_ranges(c.ranges, flags.out);
  if (!flags.log.empty()) write_log(c.records, flags.log);
  std::printf("%zu ranges (%s) from %lld of %zu images in %s\n", c.ranges.values.size(), c.ranges.method.c_str(),
              static_cast<long long>(c.ranges.images), data.samples.size(), flags.out.c_str());
  return static_cast<int>(c.problems.empty() ? Exit::ok : Exit::partial);
}

}  // namespace

std::function<int()> setup_calibrate(CLI::App& app) {
  auto o = std::make_shared<CalibrateFlags>();
  std::string methods;
  for (const ObserverRow& row : all_observers()) methods += (methods.empty() ? "" : ", ") + std::string(row.name);
  app.add_option("GRAPH", o->graph, "Model file (.json), graph with one beside it, or bare graph")->required();
  app.add_option("--images", o->images, "Folder of images; for a bare graph, of feeds (.json)");
  app.add_option("-o,--out", o->out, "Ranges (.json)")->required();
  app.add_option("--method", o->options.method, "How a range is chosen: " + methods);
  app.add_option("--percentile", o->options.observer.percentile, "Of --method percentile; default 99.99")
      ->check(CLI::Range(50.0, 100.0));
  app.add_flag("--per-channel", o->options.per_channel, "Also the extremes of every channel");
  app.add_option("--max-images", o->max_images, "Evenly spaced over the sorted list; default 100")->check(CLI::Range(1, 1000000));
  app.add_option("--values", o->values, "layers (what quantization needs; the default) or all")
      ->check(CLI::IsMember({"layers", "all"}));
  app.add_option("--log", o->log, "Also write each image's extremes as a calibration log");
  app.add_option("--from-log", o->from_log, "Instead of --images: ranges from a calibration log");
  app.add_option("--streams", o->options.streams, "Networks at work at once; 0: one per core")->check(CLI::Range(0, 256));
  app.add_flag("--quiet", o->options.quiet, "No progress");
  return [o] {
    if (o->images.empty() == o->from_log.empty())
      throw UsageError("cytodet calibrate", "needs --images DIR or --from-log FILE, one of them");
    return o->from_log.empty() ? ranges_from_images(*o) : ranges_from_log(*o);
  };
}

}  // namespace cytodet
