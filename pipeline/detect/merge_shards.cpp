#include "pipeline/detect/merge_shards.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "pipeline/detect/run_writer.h"
#include "pipeline/results/run_plan.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

struct Run {
  RunFolder folder;
  RunState state;
};

// `mine` against `first`; the first difference that a user can act on.
std::string state_difference(const RunState& first, const RunState& mine) {
  if (mine.version != first.version) return "made by version " + mine.version + ", not " + first.version;
  if (mine.model.graph_hash != first.model.graph_hash) return "made with another graph, " + mine.model.graph;
  if (mine.model.hash != first.model.hash)
    return "made with another model file or other --score, --nms or --iou, " + mine.model.file;
  if (mine.settings_hash != first.settings_hash) {
    const Json &a = first.settings.value("detect", Json::object()), &b = mine.settings.value("detect", Json::object());
    for (auto it = b.begin(); it != b.end(); ++it)
      if (it.key() != "streams" && it.key() != "threads_per_stream" && it.value() != a.value(it.key(), Json()))
        return "made with other settings: " + it.key() + " is " + it.value().dump() + ", not " + a.value(it.key(), Json()).dump();
    return "made with other settings";
  }
  if (mine.counting != first.counting)
    return "made with another operating point: boxes count " + text_of(counting_of(mine), mine.model.classes) + ", not " +
           text_of(counting_of(first), first.model.classes);
  if (mine.shard.list_hash != first.shard.list_hash) return "a shard of another list of slides";
  if (mine.shard.count != first.shard.count)
    return "one of " + std::to_string(mine.shard.count) + " shards, not " + std::to_string(first.shard.count);
  return {};
}

// What is not there: shards, and slides of shards that are.
struct Missing {
  std::vector<int> shards;
  std::vector<std::string> texts;  // in words, with the folders

  static std::string text_of(const std::vector<int>& numbers) {
    std::string text;
    for (size_t i = 0; i < numbers.size() && i < 20; ++i) text += (i ? ", " : "") + std::to_string(numbers[i]);
    return numbers.size() > 20 ? text + ", ..." : text;
  }
};

Missing check_shards(const std::vector<Run>& runs, bool allow_missing) {
  Missing missing;
  std::map<int, std::string> seen;
  for (const Run& r : runs) {
    const std::string path = r.folder.path.string();
    if (std::string why = state_difference(runs[0].state, r.state); !why.empty())
      throw Error(path, "cannot be joined with " + runs[0].folder.path.string() + ": it is " + why,
                  "detect again with equal settings");
    if (auto [it, fresh] = seen.emplace(r.state.shard.index, path); !fresh)
      throw Error(path, "is shard " + std::to_string(r.state.shard.index) + " a second time, after " + it->second,
                  "name each shard once");
    if (const int waiting = r.state.count(ImageState::waiting)) {
      const std::string what = "has " + std::to_string(waiting) + " slides that are not done";
      if (!allow_missing) throw Error(path, what, "finish it with cytodet detect --resume, or go on with --allow-missing");
      missing.texts.push_back(path + " " + what);
    }
  }
  const int count = runs[0].state.shard.count;
  for (int i = 1; i <= count; ++i)
    if (!seen.contains(i)) missing.shards.push_back(i);
  if (missing.shards.empty()) return missing;
  const std::string what = "of " + std::to_string(count) + " shards these are missing: " + Missing::text_of(missing.shards);
  if (!allow_missing)
    throw Error(runs[0].folder.path.string(), what, "name their run folders too, or go on with --allow-missing");
  missing.texts.push_back(what);
  return missing;
}

// Shards that were run with different ground truths may give one id to two images.
void check_image_ids(const std::vector<Run>& runs) {
  std::map<int64_t, const ImageResult*> seen;
  for (const Run& r : runs)
    for (const ImageResult& s : r.state.inputs)
      if (const auto [it, fresh] = seen.emplace(s.image_id, &s); s.done() && !fresh && it->second->done())
        throw Error(s.path, "has image_id " + std::to_string(s.image_id) + " as " + it->second->path + " has",
                    "detect again with equal --truth in all shards");
}

// Bytes of a file of a shard, to where it is made before it gets its name.
void copy_bytes(const fs::path& from, const fs::path& to) {
  AtomicFile file(to);
  std::ifstream in(from, std::ios::binary);
  if (!in) throw Error(from.string(), "cannot open", "detect again with --resume");
  std::string buffer(size_t{1} << 20, '\0');
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0)
    file.write({buffer.data(), static_cast<size_t>(in.gcount())});
  file.commit();
}

// The files of a done slide that are there, in the order in which they get their names: its .boxes file last. Shards of versions
// that kept no list have what is called so.
std::vector<std::string> files_of(const Run& run, const ImageResult& s) {
  std::vector<std::string> names;
  for (const OwnFile& file : s.files) names.push_back(file.name);
  if (!names.empty()) return names;
  std::error_code ignored;
  for (const std::string& name : all_files_of(s.name))
    if (fs::exists(run.folder.path / name, ignored)) names.push_back(name);
  std::rotate(names.begin(), names.begin() + (names.empty() ? 0 : 1), names.end());
  return names;
}

// Everything that the joined run will hold, and where it comes from.
struct Joined {
  RunState state;
  std::vector<std::pair<const Run*, std::vector<std::string>>> files;  // per slide of the state
};

Joined joined(const std::vector<Run>& runs) {
  Joined all;
  all.state = runs[0].state;
  all.state.inputs.clear();
  all.state.files.clear();
  all.state.timing = nullptr;
  all.state.shard.index = all.state.shard.count = 1;
  std::vector<std::pair<const Run*, const ImageResult*>> slides;
  for (const Run& r : runs)
    for (const ImageResult& s : r.state.inputs) slides.emplace_back(&r, &s);
  std::sort(slides.begin(), slides.end(), [](const auto& a, const auto& b) { return a.second->index < b.second->index; });
  for (const auto& [run, slide] : slides) {
    all.state.inputs.push_back(*slide);
    all.state.inputs.back().files.clear();
    all.files.emplace_back(run, slide->done() ? files_of(*run, *slide) : std::vector<std::string>());
  }
  return all;
}

void check_target(const RunFiles& to, const Joined& all) {
  InputFiles read;
  std::vector<std::pair<std::string, std::string>> planned;
  for (size_t i = 0; i < all.files.size(); ++i)
    for (const std::string& name : all.files[i].second) {
      const fs::path from = all.files[i].first->folder.path / name;
      read.add(from, "the shard's file");
      planned.emplace_back(name, from.string());
    }
  for (const std::string& name : RunLayout{}.files_of_run()) planned.emplace_back(name, "the joined run's");
  check_plan(to, planned, read);
}

}  // namespace

RunState collect(const std::vector<fs::path>& paths, const fs::path& out, const CollectOptions& options) {
  std::vector<Run> runs;
  std::vector<std::string> unread;
  for (const fs::path& p : paths) try {
      runs.push_back({{p}, RunFolder{p}.read()});
    } catch (const Error& e) {
      if (!options.allow_missing) throw;
      unread.push_back(e.what());
    }
  if (runs.empty() && !unread.empty()) throw Error("", "none of the runs can be read: " + unread.front());
  if (runs.empty()) throw UsageError("cytodet collect", "needs at least one run folder");
  std::error_code ignored;
  for (const Run& r : runs)
    if (fs::equivalent(r.folder.path, out, ignored))
      throw UsageError(out.string(), "is one of the runs", "name another folder for the result");
  const Missing missing = check_shards(runs, options.allow_missing);
  if (options.missing) {
    unread.insert(unread.end(), missing.texts.begin(), missing.texts.end());
    for (const std::string& text : unread) options.missing(text);
  }
  check_image_ids(runs);
  Joined all = joined(runs);
  RunState& state = all.state;
  state.shard.missing = missing.shards;
  RunFiles to(out);
  check_target(to, all);
  std::vector<const ImageResult*> slides;
  for (const ImageResult& s : state.inputs) slides.push_back(&s);
  remove_files_of(to, slides, {});
  state.files = files_of_no_slide(to, state);
  RunState waiting = state;
  for (ImageResult& s : waiting.inputs) s.state = s.done() ? ImageState::waiting : s.state;
  to.begin(waiting);
  for (size_t i = 0; i < all.files.size(); ++i) {
    const auto& [run, names] = all.files[i];
    if (names.empty()) continue;
    to.make([&, from = run->folder.path] {
      for (const std::string& name : names) copy_bytes(from / name, to.staged(name));
    });
    state.inputs[i].files = to.place(names);
  }
  to.make([&] { assemble_detections(RunFolder{out}, state, to.staged(RunFolder::kDetections)); });
  const std::vector<OwnFile> placed = to.place({RunFolder::kDetections});
  std::erase_if(state.files, [](const OwnFile& f) { return f.name == RunFolder::kDetections; });
  state.files.push_back(placed.at(0));
  to.end(state);
  return std::move(state);
}

}  // namespace cytodet::pipeline
