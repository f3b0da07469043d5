#include "pipeline/config/zoo.h"

#include <algorithm>

#include "core/error.h"
#include "core/settings.h"
#include "pipeline/config/zoo_files.h"

namespace cytodet::pipeline {
namespace {

constexpr size_t kMaxEntries = 10000;

bool has_hole(const std::string& text) { return text.find("{}") != std::string::npos; }

std::string filled(std::string part, const std::string& value) {
  if (const size_t at = part.find("{}"); at != std::string::npos) part.replace(at, 2, value);
  return part;
}

// One word of a command line whatever it holds.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

void check(const ZooEntry& e, const std::string& where) {
  const auto need = [&](bool ok, const char* key, const char* problem) {
    if (!ok) throw UsageError(where + ": " + key, problem);
  };
  need(!e.name.empty(), "MODEL_NAME", "is missing");
  need(!e.launch.script.empty(), "LAUNCH_BENCHMARK_PARAMS.LAUNCH_BENCHMARK_SCRIPT", "is missing");
  need(has_hole(e.launch.in_graph), "LAUNCH_BENCHMARK_PARAMS.IN_GRAPH", "must hold {} where the graph's path goes");
  need(has_hole(e.launch.data), "LAUNCH_BENCHMARK_PARAMS.DATA_LOCATION", "must hold {} where the data's path goes");
  need(e.launch.source_dir.empty() || has_hole(e.launch.source_dir), "LAUNCH_BENCHMARK_PARAMS.MODEL_SOURCE_DIR", "must hold {}");
  need(!e.converter.inputs.empty(), "QUANTIZE_GRAPH_CONVERTER_PARAMS.INPUT_NODE_LIST", "names no node");
  need(!e.converter.outputs.empty(), "QUANTIZE_GRAPH_CONVERTER_PARAMS.OUTPUT_NODE_LIST", "names no node");
}

}  // namespace

void fields(Fields& f, LaunchParams& s) {
  f("LAUNCH_BENCHMARK_SCRIPT", s.script);
  f("LAUNCH_BENCHMARK_CMD", s.command);
  f("IN_GRAPH", s.in_graph);
  f("DATA_LOCATION", s.data);
  f.unless(std::string(), "MODEL_SOURCE_DIR", s.source_dir);
  f.unless(std::vector<std::string>(), "DIRECT_PASS_PARAMS_TO_MODEL", s.passed_on);
}

void fields(Fields& f, ConverterParams& s) {
  f("INPUT_NODE_LIST", s.inputs);
  f("OUTPUT_NODE_LIST", s.outputs);
  f("EXCLUDED_OPS_LIST", s.excluded_ops);
  f("EXCLUDED_NODE_LIST", s.excluded_nodes);
  f("PER_CHANNEL_FLAG", s.per_channel);
}

void fields(Fields& f, ZooEntry& s) {
  f("MODEL_NAME", s.name);
  f("LAUNCH_BENCHMARK_PARAMS", s.launch);
  f("QUANTIZE_GRAPH_CONVERTER_PARAMS", s.converter);
}

std::vector<ZooEntry> parse_zoo(const Json& json, const std::string& where) {
  if (!json.is_array() || json.empty() || json.size() > kMaxEntries)
    throw UsageError(where, "must be a list of 1 to " + std::to_string(kMaxEntries) + " networks");
  std::vector<ZooEntry> entries;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string at = where + ": [" + std::to_string(i) + "]";
    ZooEntry e;
    read_settings(json[i], e, at);
    check(e, at);
    if (std::any_of(entries.begin(), entries.end(), [&](const ZooEntry& other) { return other.name == e.name; }))
      throw UsageError(at + ": MODEL_NAME", "\"" + e.name + "\" is in the list already");
    entries.push_back(std::move(e));
  }
  return entries;
}

std::string zoo_command(const ZooEntry& e, const ZooPlaces& places) {
  std::string command = "python " + quoted((std::filesystem::path(places.models_zoo) / e.launch.script).string());
  const auto add = [&](const std::string& part) {
    const size_t first = part.find_first_not_of(' ');
    if (first != std::string::npos) command += " " + part.substr(first);
  };
  for (const std::string& part : e.launch.command) add(part);
  add(filled(e.launch.data, quoted(places.data)));
  add(e.launch.in_graph);
  if (!places.source_dir.empty() && !e.launch.source_dir.empty()) add(filled(e.launch.source_dir, quoted(places.source_dir)));
  for (const std::string& part : e.launch.passed_on) add(part);
  return command;
}

Json shipped_zoo() { return parse_json(zoo_files::kModels, "configs/zoo/models.json"); }
Json shipped_zoo_models() { return parse_json(zoo_files::kModelFiles, "configs/zoo/model_files.json"); }

}  // namespace cytodet::pipeline
