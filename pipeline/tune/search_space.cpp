#include "pipeline/tune/search_space.h"

#include <algorithm>
#include <cmath>

#include "core/settings.h"
#include "core/suggest.h"

namespace cytodet::pipeline {
namespace {

constexpr const char *kOverlapShare = "overlap_share", *kNetworkScale = "network_scale";
constexpr size_t kMaxValues = 1000, kMaxSettings = 100'000, kMaxPoints = 1'000'000;

constexpr TuneAxis kAxes[] = {
    {"model", TuneSide::network, "model file, or a graph with one beside it: float or 8 bits"},
    {"detect", TuneSide::network, "anything else of detection costs inference"},
    {"detect.mode", TuneSide::network, "image or slide: shrunk whole, or tiles"},
    {"detect.tiling", TuneSide::network, "tile size, overlap, level, mpp, scale"},
    {kNetworkScale, TuneSide::network,
     "pixels of the network per working pixel; sets detect.tiling.tile_px by detect.network_px"},
    {kOverlapShare, TuneSide::network, "overlap of tiles as a share of their side; sets detect.tiling.overlap_px"},
    {"detect.streams", TuneSide::parallel, "networks at work at once"},
    {"detect.threads_per_stream", TuneSide::parallel, "threads inside one network"},
    {"detect.score", TuneSide::merge, "least score of a detection"},
    {"detect.merge", TuneSide::merge, "how the detections of overlapping tiles are joined"},
    {"classify.side", TuneSide::network, "side of a classification network's input, for graphs that take any"},
    {"classify.batch", TuneSide::parallel, "images that a classification network takes at once"},
};

const TuneAxis* axis_of(const std::string& key) {
  const TuneAxis* best = nullptr;
  for (const TuneAxis& a : kAxes) {
    const std::string name = a.name;
    if ((key == name || key.starts_with(name + ".")) && (!best || name.size() > std::string(best->name).size())) best = &a;
  }
  return best;
}

void leaves(const Json& json, const std::string& path, std::vector<std::string>& found) {
  found.push_back(path);
  if (json.is_object())
    for (auto it = json.begin(); it != json.end(); ++it) leaves(it.value(), path + "." + it.key(), found);
}

std::vector<std::string> known_keys(const Json& base) {
  std::vector<std::string> known{"model", kOverlapShare, kNetworkScale};
  leaves(base["detect"], "detect", known);
  known.insert(known.end(), {"classify.side", "classify.batch"});
  known.erase(std::find(known.begin(), known.end(), "detect"));
  return known;
}

std::string pointer_of(std::string key) {
  std::replace(key.begin(), key.end(), '.', '/');
  return "/" + key;
}

// `base` with one value of a key.
void put(Json& base, const std::string& key, const Json& value) {
  Json& at = base.at(Json::json_pointer(pointer_of(key)));
  if (value.is_object())
    at.merge_patch(value);
  else
    at = value;
}

// The run config that this JSON says; network_scale and overlap_share, where given, are put in last.
RunConfig run_of(const Json& json, const Json* network_scale, const Json* overlap_share, const std::string& where) {
  RunConfig run;
  read_settings(json, run, where);
  if (network_scale) {
    if (!network_scale->is_number() || !(network_scale->get<double>() >= 0.01 && network_scale->get<double>() <= 100))
      throw UsageError(where, "must be pixels of the network per working pixel, 0.01 to 100");
    const std::vector<int>& px = run.detect.network_px;
    if (!px.empty()) run.detect.tiling.tile_px = static_cast<int>(std::lround(px.front() / network_scale->get<double>()));
  }
  if (!overlap_share) return run;
  if (!overlap_share->is_number() || !(overlap_share->get<double>() >= 0 && overlap_share->get<double>() <= 0.75))
    throw UsageError(where, "must be a share of the tile, 0 to 0.75");
  run.detect.tiling.overlap_px = static_cast<int>(std::lround(overlap_share->get<double>() * run.detect.tiling.tile_px));
  return run;
}

Json base_of(const RunConfig& run) {
  Json base = write_settings(run);
  Json& detect = base["detect"];  // also what is not written where it is not used
  detect["network_px"] = run.detect.network_px;
  detect["cascade"] = run.detect.cascade ? write_settings(*run.detect.cascade) : Json();
  detect["tiling"]["fit_edges"] = run.detect.tiling.fit_edges;
  base["classify"] = write_settings(run.classify);
  return base;
}

class Builder {
 public:
  Builder(TuneSpace& space, const std::filesystem::path& path)
      : space_(space), where_(path.string() + ": search"), folder_(path.parent_path()), base_(base_of(space.config.run)) {}

  void build() {
    const Json& search = space_.config.search;
    if (!search.is_object() || search.empty())
      throw UsageError(where_, "must be an object of keys with lists of values", R"(as "detect.tiling.tile_px": [512, 640])");
    for (auto it = search.begin(); it != search.end(); ++it) {
      check_axis(it.key(), it.value());
      space_.keys[static_cast<size_t>(axis_of(it.key())->side)].push_back(it.key());
    }
    space_.networks = settings(TuneSide::network);
    space_.parallel_settings = settings(TuneSide::parallel);
    space_.merges = settings(TuneSide::merge);
    const TuneGrid g = space_.grid();
    if (g.points() > kMaxPoints)
      throw UsageError(where_,
                       "makes " + std::to_string(g.points()) + " settings, over the limit of " + std::to_string(kMaxPoints));
  }

 private:
  void check_axis(const std::string& key, const Json& values) {
    const std::vector<std::string> known = known_keys(base_);
    if (!axis_of(key) || std::find(known.begin(), known.end(), key) == known.end())
      throw UsageError(where_ + "." + key, "is not a key that can be searched", suggest(key, known));
    if (!values.is_array() || values.empty() || values.size() > kMaxValues)
      throw UsageError(where_ + "." + key, "must be a list of 1 to " + std::to_string(kMaxValues) + " values");
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::find(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(i), values[i]) !=
          values.begin() + static_cast<std::ptrdiff_t>(i))
        throw UsageError(where_ + "." + key + "[" + std::to_string(i) + "]", "is in the list already");
      one(key, values[i], where_ + "." + key + "[" + std::to_string(i) + "]");
    }
  }

  // Types and ranges of a value alone, so that an error can name it.
  void one(const std::string& key, const Json& value, const std::string& where) const {
    Json json = base_;
    if (key != kOverlapShare && key != kNetworkScale) put(json, key, value);
    const RunConfig run = run_of(json, key == kNetworkScale ? &value : nullptr, key == kOverlapShare ? &value : nullptr, where);
    if (key == "model" && run.model.empty()) throw UsageError(where, "must name a model file");
    if (axis_of(key)->side == TuneSide::network) return;
    try {
      check(run.detect);
      check(run.classify);
    } catch (const Error& e) {
      throw e.within(where);
    }
  }

  std::vector<TuneSetting> settings(TuneSide side) const {
    const std::vector<std::string>& keys = space_.keys[static_cast<size_t>(side)];
    std::vector<std::vector<Json>> rows{{}};
    for (const std::string& key : keys) {
      std::vector<std::vector<Json>> longer;
      if (rows.size() * space_.config.search[key].size() > kMaxSettings)
        throw UsageError(where_, "makes more than " + std::to_string(kMaxSettings) + " settings", "give fewer values");
      for (const auto& row : rows)
        for (const Json& value : space_.config.search[key]) {
          longer.push_back(row);
          longer.back().push_back(value);
        }
      rows = std::move(longer);
    }
    std::vector<TuneSetting> all;
    for (auto& row : rows) all.push_back(setting(keys, std::move(row)));
    return all;
  }

  TuneSetting setting(const std::vector<std::string>& keys, std::vector<Json> values) const {
    Json json = base_;
    const Json *share = nullptr, *scale = nullptr;
    std::string where = where_;
    for (size_t i = 0; i < keys.size(); ++i) {
      where += (i ? ", " : ": ") + keys[i] + " " + values[i].dump();
      if (keys[i] == kOverlapShare)
        share = &values[i];
      else if (keys[i] == kNetworkScale)
        scale = &values[i];
      else
        put(json, keys[i], values[i]);
    }
    TuneSetting s{run_of(json, scale, share, where), {}};
    if (scale && s.run.detect.network_px.empty())
      throw UsageError(where, "needs detect.network_px", "search it too, or give it in detect");
    const bool named = std::find(keys.begin(), keys.end(), "model") != keys.end();  // the base's is a path already
    if (named && std::filesystem::path(s.run.model).is_relative())
      s.run.model = (folder_ / s.run.model).lexically_normal().string();
    try {
      check(s.run.detect);
      check(s.run.classify);
    } catch (const Error& e) {
      throw e.within(where);
    }
    s.values = std::move(values);
    return s;
  }

  TuneSpace& space_;
  const std::string where_;
  const std::filesystem::path folder_;
  const Json base_;
};

std::string short_name(const std::string& key) { return key.substr(key.rfind('.') + 1); }

std::string cell(const std::string& key, const Json& value) {
  if (key == "model") return std::filesystem::path(value.get<std::string>()).stem().string();
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_object()) return value.dump();
  std::string text;
  for (auto it = value.begin(); it != value.end(); ++it) text += (text.empty() ? "" : " ") + cell(it.key(), it.value());
  return text;
}

}  // namespace

void fields(Fields& f, SpeedSettings& s) {
  f("images", s.images, "pictures");
  f("repeats", s.repeats);
}

void fields(Fields& f, TuneConfig& s) {
  fields(f, s.run);
  f("search", s.search);
  f("speed", s.speed);
}

std::span<const TuneAxis> tune_axes() { return kAxes; }

RunConfig TuneSpace::at(const TunePoint& p) const {
  RunConfig run = networks[p.network].run;
  run.output = (std::filesystem::path(config.run.output) / "picked").string();
  const DetectSettings &parallel = parallel_settings[p.parallel].run.detect, &merge = merges[p.merge].run.detect;
  run.detect.streams = parallel.streams;
  run.detect.threads_per_stream = parallel.threads_per_stream;
  run.classify.batch = parallel_settings[p.parallel].run.classify.batch;
  run.detect.score = merge.score;
  run.detect.merge = merge.merge;
  return run;
}

std::vector<std::string> TuneSpace::columns() const {
  std::vector<std::string> names;
  for (const auto& side : keys)
    for (const std::string& key : side)
      if (config.search[key].size() > 1) names.push_back(short_name(key));
  return names;
}

std::vector<std::string> TuneSpace::cells(const TunePoint& p) const {
  const TuneSetting* settings[] = {&networks[p.network], &parallel_settings[p.parallel], &merges[p.merge]};
  std::vector<std::string> texts;
  for (size_t side = 0; side < 3; ++side)
    for (size_t i = 0; i < keys[side].size(); ++i)
      if (config.search[keys[side][i]].size() > 1) texts.push_back(cell(keys[side][i], settings[side]->values[i]));
  return texts;
}

TuneSpace parse_tune_space(const Json& json, const std::filesystem::path& path) {
  TuneSpace space;
  read_settings(json, space.config, path.string());
  Json run = json;
  run.erase("search");
  run.erase("speed");
  space.config.run = parse_run_config(run, path);
  const TuneConfig& c = space.config;
  if (c.run.truth.empty() && !json.contains("classify"))
    throw UsageError(path.string() + ": truth", "is missing", "name the COCO ground truth of the inputs");
  if (c.run.quantize) throw UsageError(path.string() + ": quantize", "is not for tune", "search model files: \"model\": [...]");
  if (c.speed.images < 0) throw UsageError(path.string() + ": speed.images", "must be 0 or more");
  if (c.speed.repeats < 1 || c.speed.repeats > 1000) throw UsageError(path.string() + ": speed.repeats", "must be 1 to 1000");
  Builder(space, path).build();
  return space;
}

TuneSpace read_tune_space(const std::filesystem::path& path) {
  return parse_tune_space(read_json(path, int64_t{16} << 20), path);
}

}  // namespace cytodet::pipeline
