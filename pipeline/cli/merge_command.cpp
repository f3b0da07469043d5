#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "core/output_plan.h"
#include "core/parallel.h"
#include "core/settings.h"
#include "eval/result_images.h"
#include "pipeline/cli/commands.h"
#include "pipeline/results/folder_manifest.h"
#include "tiling/merge/merge.h"

namespace cytodet::pipeline {
namespace {

// What is merged with each other: the detections of one image, out of all files.
struct ImageBoxes {
  std::vector<TileDetection> found;
  std::map<std::array<double, 4>, int> tiles;  // number of each tile's rectangle
  Box all;                                     // around the tiles
  std::string file_name;                       // beside image_id, where given
};

// An id as JSON writes it.
std::string json_of(int64_t number, const std::string& text) { return text.empty() ? std::to_string(number) : json_line(text); }

struct Results {
  std::map<std::pair<int64_t, std::string>, ImageBoxes>
      images;                                                 // image id, or 0 and an id that is a text; of a box list: file name
  std::map<std::pair<int64_t, std::string>, int> categories;  // id, or 0 and a text -> number by which the boxes name it
  std::string box_list, coco;                                 // a file of each form
  int64_t boxes = 0;

  ImageBoxes& image_of(const AnyResult& r, const std::string& stem, const std::string& file) {
    if (r.box_list) return images[{0, stem}];
    ImageBoxes& p = r.has_image ? images[{r.image_id, r.image_key}] : images[{0, r.file_name}];
    if (p.file_name.empty()) p.file_name = r.file_name;
    if (!r.file_name.empty() && p.file_name != r.file_name)
      throw Error(file, "image_id " + json_of(r.image_id, r.image_key) + " is of " + r.file_name + " and of " + p.file_name,
                  "merge only files that number images alike");
    return p;
  }
  int number_of(const CocoResult& r, const std::string& file) {
    if (r.category_id != static_cast<int>(r.category_id))
      throw Error(file, "category_id " + std::to_string(r.category_id) + " does not fit 32 bits");
    return categories.try_emplace({r.category_id, r.category_key}, static_cast<int>(categories.size())).first->second;
  }
  // Numbers classes by ascending id, so that ranks do not depend on the order of files; returns the ids.
  std::vector<std::string> sort_categories() {
    std::vector<std::string> ids;  // as JSON
    std::vector<int> sorted(categories.size());
    for (const auto& [id, number] : categories) {
      sorted[static_cast<size_t>(number)] = static_cast<int>(ids.size());
      ids.push_back(json_of(id.first, id.second));
    }
    for (auto& [key, image] : images)
      for (TileDetection& d : image.found) d.detection.category = sorted[static_cast<size_t>(d.detection.category)];
    return ids;
  }
};

// Boxes are marked with their tile's number; whether that tile cuts them is known when all tiles are.
void read_file_of(const std::string& file, double min_score, const MergeSettings& settings, Results& all) {
  const std::string stem = std::filesystem::path(file).stem().string();
  int64_t number = 0;
  read_results(file, [&](const AnyResult& r) {
    (r.box_list ? all.box_list : all.coco) = file;
    if (!all.box_list.empty() && !all.coco.empty())
      throw UsageError(file, "is of another form than the files before it", "merge COCO results and box lists apart");
    if (settings.method == MergeMethod::owner && !r.tile)
      throw UsageError(file + ": detections[" + std::to_string(number) + "]", "has no \"tile\": [x, y, width, height]",
                       "the owner rule needs to know where each was found; choose another --method");
    if (!r.box_list && !r.has_image && r.file_name.empty()) refuse_no_image(file, number);
    ++number;
    if (r.score < min_score) return;
    ImageBoxes& p = all.image_of(r, r.box_list ? stem : "", file);
    TileDetection d{{r.box, all.number_of(r, file), static_cast<float>(r.score)}, 0, false};
    if (r.tile) {
      const Box& t = *r.tile;
      p.all = p.tiles.empty()
                  ? t
                  : Box{std::min(p.all.x0, t.x0), std::min(p.all.y0, t.y0), std::max(p.all.x1, t.x1), std::max(p.all.y1, t.y1)};
      d.tile = p.tiles.try_emplace({t.x0, t.y0, t.x1, t.y1}, static_cast<int>(p.tiles.size())).first->second;
    }
    p.found.push_back(d);
    ++all.boxes;
  });
}

void mark_cut(ImageBoxes& p, double edge) {
  std::vector<const std::array<double, 4>*> tiles(p.tiles.size());
  for (const auto& [tile, number] : p.tiles) tiles[static_cast<size_t>(number)] = &tile;
  if (tiles.empty()) return;
  for (TileDetection& d : p.found) {
    const auto& [x0, y0, x1, y1] = *tiles[static_cast<size_t>(d.tile)];
    const Box& b = d.detection.box;
    d.cut = (x0 > p.all.x0 && b.x0 < x0 + edge) || (y0 > p.all.y0 && b.y0 < y0 + edge) || (x1 < p.all.x1 && b.x1 > x1 - edge) ||
            (y1 < p.all.y1 && b.y1 > y1 - edge);
  }
}

// Box lists of several images are a file each.
bool is_folder_of(const Results& all, const std::filesystem::path& out) {
  std::error_code ignored;
  const bool named = out.filename().empty() || std::filesystem::is_directory(out, ignored);
  if (!named && all.images.size() > 1 && out.extension() == ".json")
    throw UsageError(out.string(),
                     "names a file, and lists of " + std::to_string(all.images.size()) + " images become a file each",
                     "name a folder");
  return named || all.images.size() > 1;
}

std::filesystem::path list_of(const std::string& image, const std::filesystem::path& folder) {
  return folder / (image + ".json");
}

// Before any is written.
void check_files(const Results& all, const std::vector<std::string>& read, const std::filesystem::path& out, bool overwrite) {
  OutputPlan plan;
  for (const std::string& file : read) plan.add_input(file, "results that are merged");
  if (!all.box_list.empty() && is_folder_of(all, out)) {
    std::vector<std::string> names;
    for (const auto& [key, unused] : all.images) {
      plan.add_output(list_of(key.second, out), "the list of an image");
      names.push_back(list_of(key.second, "").string());
    }
    plan.check();
    if (!overwrite) FolderManifest(out).require_ours(names);
    return;
  }
  plan.add_output(out, "the merged results");
  check_outputs(plan);
}

int64_t write(const Results& all, const std::vector<std::string>& categories, const std::vector<Detections>& merged,
              const std::filesystem::path& out) {
  int64_t boxes = 0;
  size_t i = 0;
  if (all.box_list.empty()) {
    CocoResultsWriter writer({}, out);
    for (const auto& [key, image] : all.images) {
      const std::string id = json_of(key.first, key.second),
                        more = image.file_name.empty() ? "" : ",\"file_name\":" + json_of(0, image.file_name);
      for (const Detection& d : merged[i++]) {
        writer.add(id, more, categories.at(static_cast<size_t>(d.category)), d);
        ++boxes;
      }
    }
    writer.finish();
    return boxes;
  }
  const bool folder = is_folder_of(all, out);
  if (folder) make_folder(out);
  FolderManifest manifest(out);
  if (folder) manifest.list_what_is_written();
  for (const auto& [key, unused] : all.images) {
    write_box_list(merged[i], folder ? list_of(key.second, out) : out);
    boxes += static_cast<int64_t>(merged[i++].size());
  }
  return boxes;
}

}  // namespace

std::function<int()> setup_merge(CLI::App& app) {
  struct Options {
    std::vector<std::string> results;
    std::string out;
    double min_score = -HUGE_VAL;
    bool overwrite = false;
    MergeSettings settings{.method = MergeMethod::nms};
    std::string method = name_of(settings.method), metric = name_of(settings.metric), wbf_score = name_of(settings.wbf_score);
  };
  auto o = std::make_shared<Options>();
  MergeSettings& s = o->settings;
  std::string methods;
  for (const MergeMethodEntry& m : merge_methods()) methods += (methods.empty() ? "" : ", ") + std::string(m.name);
  app.add_option("RESULTS", o->results, "COCO results files, or box lists, one per image")->required();
  app.add_option("-o,--out", o->out, "Merged results; a folder for box lists of several images")->required();
  app.add_option("--method", o->method, methods)->capture_default_str();
  app.add_option("--iou", s.iou, "Boxes that overlap more are one")->capture_default_str();
  app.add_option("--metric", o->metric, "Overlap: iou, or ios (intersection over the smaller box)")->capture_default_str();
  app.add_flag("--class-agnostic", s.class_agnostic, "Boxes of different classes merge too");
  app.add_option("--score", o->min_score, "Leave out what scores less before merging");
  app.add_option("--soft-sigma", s.soft_sigma, "soft_nms: width of the decay")->capture_default_str();
  app.add_option("--soft-score", s.soft_score, "soft_nms: least score that is kept")->capture_default_str();
  app.add_option("--wbf-score", o->wbf_score, "wbf: max, or avg over the files as models")->capture_default_str();
  app.add_option("--edge", s.edge_px, "owner: pixels to a tile's edge within which a box may be cut")->capture_default_str();
  app.add_option("--cover", s.cover, "owner: share of a cut box that another tile's box must hold")->capture_default_str();
  app.add_flag("--overwrite", o->overwrite, "Also replace files of these names in the folder that another program or hand made");
  return [o] {
    o->settings.method = merge_method_named(o->method);
    o->settings.metric = merge_metric_named(o->metric);
    o->settings.wbf_score = wbf_score_named(o->wbf_score);
    o->settings.wbf_models = static_cast<int>(o->results.size());
    check(o->settings);
    Results all;
    for (const std::string& file : o->results) read_file_of(file, o->min_score, o->settings, all);
    check_files(all, o->results, o->out, o->overwrite);
    const std::vector<std::string> categories = all.sort_categories();
    std::vector<ImageBoxes*> images;
    for (auto& [key, image] : all.images) images.push_back(&image);
    std::vector<Detections> merged(images.size());
    parallel_for(static_cast<int64_t>(images.size()), 0, [&](int64_t i) {
      ImageBoxes& p = *images[static_cast<size_t>(i)];
      if (o->settings.method == MergeMethod::owner) mark_cut(p, o->settings.edge_px);
      merged[static_cast<size_t>(i)] = merge(std::move(p.found), o->settings);
    });
    const int64_t left = write(all, categories, merged, o->out);
    std::printf("%lld boxes on %zu images merged to %lld in %s\n", static_cast<long long>(all.boxes), images.size(),
                static_cast<long long>(left), o->out.c_str());
    return 0;
  };
}

}  // namespace cytodet::pipeline
