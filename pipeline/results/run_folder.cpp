#include "pipeline/results/run_folder.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "core/unicode.h"
#include "eval/results.h"
#include "pipeline/inputs/companions.h"
#include "pipeline/results/result_names.h"

namespace cytodet::pipeline {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

// A name as earlier versions wrote it: U+FFFD for bytes that are not UTF-8.
std::string replaced(const std::string& bytes) { return Json::parse(json_line(bytes)).get<std::string>(); }

// The one file of the folder whose name was written so; `name` where there is none.
std::string found_again(const std::filesystem::path& folder, const std::string& name) {
  std::error_code ignored;
  std::string found;
  for (const auto& e : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string there = e.path().filename().string();
    if (is_utf8(there) || replaced(there) != name) continue;
    if (!found.empty()) return name;
    found = there;
  }
  return found.empty() ? name : found;
}

// Names with U+FFFD that an earlier version wrote.
void restore_names(const std::filesystem::path& run, ImageResult& s) {
  constexpr size_t kSuffix = 6;
  if (s.name.find(kReplacement) != std::string::npos) {
    const std::string boxes = found_again(run / "boxes", s.name + ".boxes");
    s.name = boxes.substr(0, boxes.size() - kSuffix);
  }
  const std::filesystem::path path = s.path;
  if (path.filename().string().find(kReplacement) != std::string::npos)
    s.path = (path.parent_path() / found_again(path.parent_path().empty() ? "." : path.parent_path(), path.filename().string()))
                 .string();
}

}  // namespace

void fields(Fields& f, ModelState& s) {
  f("file", s.file);
  f("hash", s.hash);
  f("graph", s.graph);
  f("graph_hash", s.graph_hash);
  f("classes", s.classes);
  f("category_ids", s.category_ids);
  f("suppression", s.suppression);
}

void fields(Fields& f, ShardState& s) {
  f("index", s.index);
  f("count", s.count);
  f("list_hash", s.list_hash);
  f.unless(std::vector<int>(), "missing", s.missing);
}

void fields(Fields& f, RunState& s) {
  f("version", s.version);
  f("isa", s.isa);
  f("settings_hash", s.settings_hash);
  f("settings", s.settings);
  f("model", s.model);
  f.unless(std::optional<CountingScores>(), "operating_point", s.counting);
  f("shard", s.shard);
  f("inputs", s.inputs);
  f("files", s.files);
  f("timing", s.timing);
}

int RunState::count(ImageState state) const {
  return static_cast<int>(std::count_if(inputs.begin(), inputs.end(), [&](const ImageResult& s) { return s.state == state; }));
}

RunState RunFolder::read() const {
  std::error_code ignored;
  if (!std::filesystem::exists(run_json(), ignored))
    throw Error(path.string(), "is no run folder: it holds no run.json", "name what cytodet detect -o made");
  RunState s;
  const std::string where = run_json().string();
  read_settings(read_json(run_json()), s, where);
  if (s.model.category_ids.size() != s.model.classes.size())
    throw Error(where, "model.category_ids and model.classes differ in length", "restore the file");
  if (s.counting) check(*s.counting, s.model.classes.size(), where);
  if (s.shard.count < 1 || s.shard.index < 1 || s.shard.index > s.shard.count)
    throw Error(where, "shard is out of range", "restore the file");
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    check(s.inputs[i], where + ": inputs[" + std::to_string(i) + "]");
    restore_names(path, s.inputs[i]);
  }
  check_files(s.files, where);
  return s;
}

std::string RunFolder::text(const RunState& state) { return json_text(write_settings(state)); }

void RunFolder::write(const RunState& state) const { write_file(run_json(), text(state)); }

void for_each_done(const RunFolder& folder, const RunState& state,
                   const std::function<void(const ImageResult&, BoxesReader&)>& each) {
  for (const ImageResult& s : state.inputs) {
    if (!s.done()) continue;
    BoxesReader reader(folder.boxes(s));
    each(s, reader);
  }
}

void assemble_detections(const RunFolder& folder, const RunState& state, const std::filesystem::path& to) {
  CocoResultsWriter writer(state.model.category_ids, to);
  for_each_done(folder, state, [&](const ImageResult& s, BoxesReader& reader) {
    for (Detection d; reader.next(d);) {
      if (static_cast<size_t>(d.category) >= state.model.classes.size())
        throw Error(folder.boxes(s).string(), "holds a class that the model lacks", "detect again with --resume");
      writer.add(s.image_id, d);
    }
  });
  writer.finish();
}

std::string run_table(const RunState& state) {
  size_t width = 5;
  for (const ImageResult& s : state.inputs)
    if (!is_companion(s)) width = std::max(width, display_width(s.name));
  width = std::min<size_t>(width, 40);
  char line[200];
  std::snprintf(line, sizeof line, " %-8s %7s %7s %5s %9s %8s  %s\n", "state", "tiles", "skipped", "bad", "boxes", "network",
                "reason");
  std::string text = left_aligned("slide", width) + line;
  ImageResult sum;
  int64_t counted = 0;
  std::vector<std::string> companions;
  for (const ImageResult& s : state.inputs) {
    if (is_companion(s)) {
      companions.push_back(s.path);
      continue;
    }
    const int skipped = s.tiles - s.tiles_run();
    std::snprintf(line, sizeof line, " %-8s %7d %6.1f%% %5d %9lld %7.1fs  ", name_of(s.state), s.tiles,
                  s.tiles ? 100.0 * skipped / s.tiles : 0.0, s.bad_tiles, static_cast<long long>(s.counted_sum()),
                  s.times.network);
    text += left_aligned(s.name, width) + line + printable(s.reason.empty() ? damage_text(s) : s.reason) + "\n";
    sum.tiles += s.tiles;
    sum.background_tiles += skipped;
    sum.bad_tiles += s.bad_tiles;
    sum.fallback_tiles += s.fallback_tiles;
    sum.detection_count += s.detection_count;
    counted += s.counted_sum();
    sum.times.network += s.times.network;
  }
  if (!companions.empty()) text += "skipped, " + std::string(kCompanion) + ": " + printable(names_of_files(companions)) + "\n";
  std::snprintf(
      line, sizeof line, "%d done, %d failed, %d skipped%s; %d tiles, %.1f%% skipped, %d bad%s; %lld boxes\n",
      state.count(ImageState::done), state.count(ImageState::failed), state.count(ImageState::skipped),
      state.count(ImageState::waiting) ? (", " + std::to_string(state.count(ImageState::waiting)) + " waiting").c_str() : "",
      sum.tiles, sum.tiles ? 100.0 * sum.background_tiles / sum.tiles : 0.0, sum.bad_tiles,
      sum.fallback_tiles ? (", " + std::to_string(sum.fallback_tiles) + " from other levels").c_str() : "",
      static_cast<long long>(counted));
  text += line;
  if (state.counting && !state.counting->all())
    text += "boxes count " + printable(text_of(*state.counting, state.model.classes)) + "; " +
            std::to_string(sum.detection_count) + " in all\n";
  return text;
}

bool is_companion(const ImageResult& s) { return s.skipped() && s.reason == kCompanion; }

CountingScores counting_of(const RunState& state) {
  if (state.counting) return *state.counting;
  return {"default, as the run is of an earlier version",
          std::vector<double>(state.model.classes.size(), kDefaultOperatingScore)};
}

std::optional<RunState> run_beside(const std::filesystem::path& results) {
  const RunFolder folder{results.has_parent_path() ? results.parent_path() : std::filesystem::path(".")};
  std::error_code ignored;
  if (results.filename() != RunFolder::kDetections || !std::filesystem::exists(folder.run_json(), ignored)) return std::nullopt;
  try {
    return folder.read();
  } catch (const Error&) {
    return std::nullopt;  // some other program's run.json
  }
}

PathsOfIds paths_beside(const std::filesystem::path& results) {
  const std::optional<RunState> run = run_beside(results);
  PathsOfIds paths;
  if (!run) return paths;
  for (const ImageResult& s : run->inputs)
    if (!paths.try_emplace(s.image_id, s.path).second) return {};
  return paths;
}

}  // namespace cytodet::pipeline
