// What `cytodet tune` searches: a run config whose keys have lists of values.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/settings.h"
#include "pipeline/config/run_config.h"
#include "pipeline/tune/search.h"

namespace cytodet::pipeline {

struct SpeedSettings {
  int images = 8;   // the first of the inputs, on which speed is measured; 0: all
  int repeats = 3;  // the fastest counts
};
void fields(Fields& f, SpeedSettings& s);

// A run config with two more keys.
//   "search": {"detect.tiling.tile_px": [512, 640], "overlap_share": [0.125, 0.25], "detect.merge": [{"method": "nms"}, ...]}
// Keys are those of a run config, dots between; an object changes the keys that it has.
struct TuneConfig {
  RunConfig run;
  Json search = Json::object();
  SpeedSettings speed;
};
void fields(Fields& f, TuneConfig& s);

// What a key decides on; the longest entry that begins a key is the key's.
enum class TuneSide { network, parallel, merge };
struct TuneAxis {
  const char* name;
  TuneSide side;
  const char* summary;
};
std::span<const TuneAxis> tune_axes();

// One value per key of a side, and its place in the value lists.
struct TuneSetting {
  RunConfig run;             // the base with this side's values
  std::vector<Json> values;  // in the order of the side's keys
};

struct TuneSpace {
  TuneConfig config;
  std::vector<std::string> keys[3];  // by side
  std::vector<TuneSetting> networks, parallel_settings, merges;

  TuneGrid grid() const { return {networks.size(), parallel_settings.size(), merges.size()}; }
  // The run config of a point; output is the search's folder's "picked".
  RunConfig at(const TunePoint& p) const;
  // Short names of the keys, and a point's values in their order: of keys with more than one value.
  std::vector<std::string> columns() const;
  std::vector<std::string> cells(const TunePoint& p) const;
};

// Errors name the file, the key and the place in its list; nothing is opened yet.
TuneSpace parse_tune_space(const Json& json, const std::filesystem::path& path);
TuneSpace read_tune_space(const std::filesystem::path& path);

}  // namespace cytodet::pipeline
