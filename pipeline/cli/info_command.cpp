// info: what a slide holds, and what detection on it will take.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "core/cpu.h"
#include "core/error.h"
#include "core/messages.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "core/timing.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/contents_text.h"
#include "pipeline/cli/read_estimate.h"
#include "pipeline/cli/selection_flags.h"
#include "pipeline/config/run_config.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/inputs/companions.h"
#include "pipeline/inputs/list_inputs.h"
#include "pipeline/results/run_folder.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::pipeline {
namespace {

constexpr size_t kNetworkTiles = 3;

struct Estimate {
  double seconds = 0;
  int64_t memory_bytes = 0;
};

struct SlideInfo {
  std::unique_ptr<Slide> slide;
  std::vector<Tile> tiles;
  std::string no_grid;  // why there is none
  ReadEstimate reading;
  double network_ms = 0;   // of a tile, with a model
  std::string unreadable;  // what reading the sample tiles said
};

struct InfoOptions {
  std::vector<std::string> slides;
  std::string model;
  TilingSettings tiling;
  ImageSelection selection;
  SelectionFlags flags;
  std::optional<int> overlap;
  bool json = false;
};

SlideInfo look(const std::string& path, const InfoOptions& o, Detector* detector) {
  SlideInfo info;
  info.slide = open_slide(path, o.selection);
  settle_pixel_size(*info.slide, o.tiling);
  try {
    info.tiles = make_grid(*info.slide, o.tiling);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    info.no_grid = e.what();
    return info;
  }
  std::vector<double> network_ms;
  try {
    info.reading = estimate_reading(*info.slide, info.tiles);
    for (size_t i = 0; detector && i < std::min(kNetworkTiles, info.tiles.size()); ++i) {
      const Image image = read_tile(*info.slide, info.tiles[0]);
      StageTimes stages;
      const Letterbox box = letterbox_of(image.width, image.height, detector->model().input);
      if (network_ms.empty()) detector->run(image, box, 0, stages);  // warms up
      detector->run(image, box, 0, stages);
      network_ms.push_back(1000 * (stages.resize + stages.network + stages.decode));
    }
  } catch (const Error& e) {
    info.unreadable = e.what();
  }
  info.network_ms = median(network_ms);
  return info;
}

Estimate estimate(const SlideInfo& info, const Detector* detector, int streams) {
  Estimate e;
  e.seconds = info.reading.seconds(info.tiles.size(), info.network_ms, streams);
  const Tile& t = info.tiles[0];
  e.memory_bytes = info.reading.kept_bytes + int64_t{streams} * t.width * t.height * 3;
  if (detector) {
    std::error_code ignored;
    const auto weights = std::filesystem::file_size(detector->model().graph, ignored);
    e.memory_bytes += streams * detector->plan().arena_bytes() + (ignored ? 0 : 2 * static_cast<int64_t>(weights));
  }
  return e;
}

double mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void print_text(const SlideInfo& info, const InfoOptions& o, const Detector* detector, int streams) {
  const Slide& s = *info.slide;
  std::printf("%s\n  format    %s\n  size      %lld x %lld pixels", printable(s.path).c_str(), s.format.c_str(),
              static_cast<long long>(s.width()), static_cast<long long>(s.height()));
  if (s.mpp_x)
    std::printf(", %.2f x %.2f mm", static_cast<double>(s.width()) * *s.mpp_x / 1000,
                static_cast<double>(s.height()) * s.mpp_y.value_or(*s.mpp_x) / 1000);
  if (s.mpp_x)
    std::printf("\n  mpp       %.4g x %.4g (%s)\n", *s.mpp_x, s.mpp_y.value_or(*s.mpp_x), s.mpp_source.c_str());
  else
    std::printf("\n  mpp       not stated; give --assume-mpp where --mpp is used\n");
  if (!s.mpp_warning.empty()) std::printf("  warning   %s\n", s.mpp_warning.c_str());
  if (s.bounds)
    std::printf("  scanned   %lld x %lld pixels at (%lld, %lld)\n", static_cast<long long>(s.bounds->width),
                static_cast<long long>(s.bounds->height), static_cast<long long>(s.bounds->x),
                static_cast<long long>(s.bounds->y));
  for (size_t i = 0; i < s.levels.size(); ++i) {
    const LevelInfo& l = s.levels[i];
    std::printf("  level %-3zu %lld x %lld, 1:%.4g", i, static_cast<long long>(l.width), static_cast<long long>(l.height),
                l.downsample);
    if (l.tile_width > 0 && l.tile_height > 0)
      std::printf(", %s, %lld x %lld stored tiles of %lld x %lld", l.codec.c_str(),
                  static_cast<long long>((l.width + l.tile_width - 1) / l.tile_width),
                  static_cast<long long>((l.height + l.tile_height - 1) / l.tile_height), static_cast<long long>(l.tile_width),
                  static_cast<long long>(l.tile_height));
    std::printf("\n");
  }
  std::fputs(selection_text(s).c_str(), stdout);
  if (!s.damage.empty()) std::printf("  damage    %s\n", s.damage.c_str());
  if (!info.no_grid.empty()) {
    std::printf("  tiles     none: %s\n", info.no_grid.c_str());
    return;
  }
  const Tile& t = info.tiles[0];
  std::printf("  tiles     %zu of %d px, overlap %d, read from level %d%s\n", info.tiles.size(), o.tiling.tile_px,
              o.tiling.overlap_px, t.level,
              t.downsample_factor > 1 ? (" shrunk by " + std::to_string(t.downsample_factor)).c_str() : "");
  if (!info.unreadable.empty()) {
    std::printf("  estimate  none: %s\n", info.unreadable.c_str());
    return;
  }
  const Estimate e = estimate(info, detector, streams);
  const double read_ms = info.reading.ms_per_tile(info.tiles.size());
  if (detector)
    std::printf(
        "  estimate  %.1f s on %d streams: tiles x (%.1f ms read + %.1f ms network) / streams, from %d tiles measured now, one "
        "at "
        "a time\n",
        e.seconds, streams, read_ms, info.network_ms, info.reading.measured);
  else
    std::printf(
        "  estimate  %.1f s to read on %d threads (%.1f ms a tile, from %d measured now); with --model, the network too\n",
        e.seconds, streams, read_ms, info.reading.measured);
  std::printf("  memory    %.0f MiB at most: decoded tiles kept, a tile a stream%s\n", mib(e.memory_bytes),
              detector ? ", the network's buffers a stream, its weights twice" : "; without the network");
}

Json to_json(const SlideInfo& info, const InfoOptions& o, const Detector* detector, int streams) {
  const Slide& s = *info.slide;
  Json j{{"path", s.path}, {"format", s.format}, {"width", s.width()}, {"height", s.height()}};
  j["mpp_x"] = s.mpp_x ? Json(*s.mpp_x) : Json(nullptr);
  j["mpp_y"] = s.mpp_y ? Json(*s.mpp_y) : Json(nullptr);
  j["mpp_source"] = s.mpp_source;
  j["mpp_warning"] = s.mpp_warning;
  j["bounds"] = s.bounds ? Json::array({s.bounds->x, s.bounds->y, s.bounds->width, s.bounds->height}) : Json(nullptr);
  j["damage"] = s.damage;
  j["contents"] = contents_json(s.contents);
  j["selection"] = s.selection;
  j["warnings"] = s.warnings;
  j["levels"] = Json::array();
  for (const LevelInfo& l : s.levels)
    j["levels"].push_back({{"width", l.width},
                           {"height", l.height},
                           {"downsample", l.downsample},
                           {"codec", l.codec},
                           {"tile_width", l.tile_width},
                           {"tile_height", l.tile_height}});
  if (!info.no_grid.empty()) {
    j["tiles"] = {{"problem", info.no_grid}};
    return j;
  }
  const Tile& t = info.tiles[0];
  j["tiles"] = {{"count", info.tiles.size()},
                {"tile_px", o.tiling.tile_px},
                {"overlap_px", o.tiling.overlap_px},
                {"level", t.level},
                {"shrink", t.downsample_factor}};
  if (!info.unreadable.empty()) {
    j["estimate"] = {{"problem", info.unreadable}};
    return j;
  }
  const Estimate e = estimate(info, detector, streams);
  j["estimate"] = {{"seconds", e.seconds},
                   {"memory_bytes", e.memory_bytes},
                   {"streams", streams},
                   {"read_ms_per_tile", info.reading.ms_per_tile(info.tiles.size())},
                   {"network_ms_per_tile", detector ? Json(info.network_ms) : Json(nullptr)},
                   {"measured_tiles", info.reading.measured}};
  return j;
}

int run_info(const InfoOptions& o) {
  check(o.tiling);
  std::unique_ptr<Detector> detector;
  if (!o.model.empty()) detector = std::make_unique<Detector>(load_model(o.model), DetectSettings{.streams = 1});
  const int streams = usable_cpus();
  const InputList inputs = list_images(o.slides);
  const std::vector<std::string>& files = inputs.files;
  if (!inputs.companions.empty())
    std::fprintf(stderr, "cytodet: skipped, %s: %s\n", kCompanion, printable(names_of_files(inputs.companions)).c_str());
  Json all = Json::array();
  size_t failed = 0;
  for (const std::string& file : files) {
    try {
      const SlideInfo info = look(file, o, detector.get());
      if (o.json)
        all.push_back(to_json(info, o, detector.get(), streams));
      else
        print_text(info, o, detector.get(), streams);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      ++failed;
      const std::optional<SlideContents> held = list_contents(file);
      if (held && !o.json) std::printf("%s\n%s", file.c_str(), contents_text(*held).c_str());
      std::fflush(stdout);
      print_error(e.what());
      if (o.json) all.push_back({{"path", file}, {"problem", e.what()}});
      if (held && o.json) all.back()["contents"] = contents_json(*held);
    }
  }
  if (o.json) std::fputs(json_text(all).c_str(), stdout);
  return static_cast<int>(failed == 0 ? Exit::ok : failed == files.size() ? Exit::failed : Exit::partial);
}

}  // namespace

std::function<int()> setup_info(CLI::App& app) {
  auto o = std::make_shared<InfoOptions>();
  app.add_option("SLIDE", o->slides, "Slides, images, folders")->required();
  app.add_option("--model", o->model, "Model whose network is measured for the estimate");
  app.add_option("--tile", o->tiling.tile_px, "Tile side in pixels of the working resolution");
  app.add_option("--overlap", o->overlap, "Pixels that neighbouring tiles share; default: a quarter of the tile");
  app.add_option("--level", o->tiling.level, "Work at this pyramid level");
  app.add_option("--mpp", o->tiling.mpp, "Work at this many micrometres per pixel");
  app.add_option("--assume-mpp", o->tiling.assume_mpp, "Micrometres per pixel of slides that do not say");
  app.add_option("--set-mpp", o->tiling.set_mpp, "Micrometres per pixel, or x,y, whatever the slide says")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--scale", o->tiling.scale, "Work at this share of full resolution (0..1]");
  o->flags.add(app);
  app.add_flag("--json", o->json, "JSON instead of text");
  return [o] {
    o->flags.apply(o->selection);
    o->tiling.overlap_px = o->overlap.value_or(o->tiling.tile_px / 4);
    return run_info(*o);
  };
}

}  // namespace cytodet::pipeline
