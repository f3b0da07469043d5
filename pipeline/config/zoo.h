// Networks as IntelAI/tools' models.json lists them: what to feed and fetch, what to leave in float, how to run them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json_fwd.h"

namespace cytodet::pipeline {

// Keys are those of the file; parts of commands hold {} where a path goes.
struct LaunchParams {
  std::string script;                      // LAUNCH_BENCHMARK_SCRIPT, below the models' folder
  std::vector<std::string> command;        // LAUNCH_BENCHMARK_CMD
  std::string in_graph, data, source_dir;  // IN_GRAPH, DATA_LOCATION, MODEL_SOURCE_DIR (may be empty)
  std::vector<std::string> passed_on;      // DIRECT_PASS_PARAMS_TO_MODEL
};
struct ConverterParams {
  std::vector<std::string> inputs, outputs, excluded_ops, excluded_nodes;
  bool per_channel = false;
};
struct ZooEntry {
  std::string name;
  LaunchParams launch;
  ConverterParams converter;
};
void fields(Fields& f, LaunchParams& s);
void fields(Fields& f, ConverterParams& s);
void fields(Fields& f, ZooEntry& s);

// Throws UsageError of `where` with the entry and the key.
std::vector<ZooEntry> parse_zoo(const Json& json, const std::string& where);

// The command that runs an entry's network on data, of words as a shell splits them; {} stays where the graph goes. The words of
// paths are quoted.
struct ZooPlaces {
  std::string models_zoo, data, source_dir;  // source_dir may be empty
};
std::string zoo_command(const ZooEntry& entry, const ZooPlaces& places);

// The files that come with the program: configs/zoo/models.json, and configs/zoo/model_files.json, which says how images
// become inputs of the networks and what their outputs mean: by name the keys of a model file without "graph".
Json shipped_zoo();
Json shipped_zoo_models();

}  // namespace cytodet::pipeline
