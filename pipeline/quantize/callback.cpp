#include "pipeline/quantize/callback.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/live_paths.h"
#include "core/messages.h"
#include "core/process.h"
#include "core/text_width.h"
#include "graph/io/tensorflow/graph_def.h"
#include "models/model_file.h"
#include "pipeline/quantize/quantize_model.h"
#include "pipeline/quantize/tf_stages.h"
#include "quant/calibrate.h"
#include "quant/calibration_log.h"
#include "quant/graph_hash.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr const char *kHole = "{}", *kWhere = "callback";
constexpr size_t kMaxLog = size_t{256} << 20;  // bytes

// The graph that the command runs, and of a model its model file; removed at the end.
class LoggedGraph {
 public:
  LoggedGraph(const QuantizationTarget& target, const fs::path& folder)
      : path_(folder / ("cytodet-" + std::to_string(::getpid()) + "-logged.pb")), live_(path_), live_model_(model()) {
    write_graph(logged(target.graph), path_);
    if (!target.model) return;
    ModelFile m = *target.model;
    m.graph = path_.string();
    write_model_file(m, model());
  }
  ~LoggedGraph() {
    std::error_code ignored;
    fs::remove(path_, ignored);
    fs::remove(model(), ignored);
  }
  LoggedGraph(const LoggedGraph&) = delete;
  std::string path() const { return path_.string(); }

 private:
  fs::path model() const { return model_file_beside(path_); }
  const fs::path path_;
  LivePath live_, live_model_;
};

struct Printed {
  std::string records, last;  // lines with records; the last other line
};

// A line that a person may read: no bytes of a binary file.
bool is_text(std::string_view line) {
  return std::none_of(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\r' && c != '\b' && c != '\033') || c == '\177';
  });
}

Printed run_callback(const Callback& callback, const std::string& graph) {
  std::vector<std::string> words = split_command(callback_command(callback.command), kWhere);
  for (std::string& word : words)
    for (size_t at = 0; (at = word.find(kHole, at)) != std::string::npos; at += graph.size()) word.replace(at, 2, graph);
  Printed printed;
  const ProcessEnd end = run_process(words, callback.timeout_s, [&](std::string_view line) {
    if (line.find("__print__;") != std::string_view::npos) {
      if (printed.records.size() + line.size() < kMaxLog) printed.records += std::string(line) + "\n";
      return;
    }
    if (line.find_first_not_of(" \t\r") == std::string_view::npos || !is_text(line)) return;
    printed.last = line.substr(0, 300);
    if (!callback.quiet) std::fprintf(stderr, "%s\n", printable(line).c_str());
  });
  const std::string last = printed.last.empty() ? "" : "; it last said: " + printed.last;
  if (end.timed_out)
    throw Error(kWhere, "took over " + std::to_string(static_cast<int64_t>(callback.timeout_s)) + " s and was ended" + last,
                "give it fewer images, or more time by --callback-timeout");
  if (end.code != 0)
    throw Error(kWhere, "\"" + words[0] + "\" failed with exit code " + std::to_string(end.code) + last,
                "run it yourself on the float graph");
  return printed;
}

void warn_of_silent(const QuantizationTarget& target, const Ranges& ranges) {
  std::vector<std::string> silent;
  for (const std::string& name : values_of_layers(target.graph))
    if (!ranges.values.contains(name)) silent.push_back(name);
  if (!silent.empty())
    print_warning("callback: " + std::to_string(silent.size()) + " nodes printed nothing, " + silent.front() +
                  (silent.size() > 1 ? " among them" : "") + "; the layers that read them stay in float");
}

}  // namespace

std::string callback_command(const std::string& text) {
  std::string command = text;
  constexpr std::string_view kFlag = "input_graph=";
  if (const size_t flag = command.find(kFlag); flag != std::string::npos) {
    const size_t first = flag + kFlag.size(), end = std::min(command.find_first_of(" \t\n", first), command.size());
    command.replace(first, end - first, kHole);
  }
  if (command.find(kHole) == std::string::npos)
    throw UsageError(kWhere, "does not say where the graph goes", "write {} in its place: \"infer.py --in-graph {}\"");
  return command;
}

Ranges ranges_by_callback(const QuantizationTarget& target, const Callback& callback) {
  callback_command(callback.command);
  const LoggedGraph graph(target, callback.folder);
  const Printed printed = run_callback(callback, graph.path());
  const CalibrationLog log = parse_log(printed.records);
  for (const std::string& problem : log.problems) print_warning(std::string(kWhere) + ": " + problem);
  if (log.records.empty())
    throw Error(kWhere, "printed no records" + (printed.last.empty() ? "" : "; it last said: " + printed.last),
                "the graph's Print nodes write to standard error: the command must run the graph that {} names");
  Ranges ranges = ranges_of(log, kWhere);
  ranges.data = kWhere;
  ranges.graph_hash = graph_hash(target.graph);
  warn_of_silent(target, ranges);
  return ranges;
}

}  // namespace cytodet::pipeline
