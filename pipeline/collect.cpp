#include "pipeline/collect.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "pipeline/outputs/output.h"

namespace cytodet {
namespace {

namespace fs = std::filesystem;

struct Run {
  RunFolder folder;
  RunState state;
};

// `mine` against `first`; the first difference that a user can act on.
std::string difference(const RunState& first, const RunState& mine) {
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
  if (mine.shard.list_hash != first.shard.list_hash) return "a shard of another list of slides";
  if (mine.shard.count != first.shard.count)
    return "one of " + std::to_string(mine.shard.count) + " shards, not " + std::to_string(first.shard.count);
  return {};
}

void check_shards(const std::vector<Run>& runs) {
  std::map<int, std::string> seen;
  for (const Run& r : runs) {
    const std::string path = r.folder.path.string();
    if (std::string why = difference(runs[0].state, r.state); !why.empty())
      throw Error(path, "cannot be joined with " + runs[0].folder.path.string() + ": it is " + why,
                  "detect again with equal settings");
    if (auto [it, fresh] = seen.emplace(r.state.shard.index, path); !fresh)
      throw Error(path, "is shard " + std::to_string(r.state.shard.index) + " a second time, after " + it->second,
                  "name each shard once");
    if (const int waiting = r.state.count("waiting"))
      throw Error(path, "has " + std::to_string(waiting) + " slides that are not done", "finish it with cytodet detect --resume");
  }
  std::string missing;
  for (int i = 1; i <= runs[0].state.shard.count; ++i)
    if (!seen.contains(i)) missing += (missing.empty() ? "" : ", ") + std::to_string(i);
  if (!missing.empty())
    throw Error(runs[0].folder.path.string(),
                "of " + std::to_string(runs[0].state.shard.count) + " shards these are missing: " + missing,
                "name their run folders too");
}

void copy(const fs::path& from, const fs::path& to, bool needed) {
  std::error_code error;
  if (!needed && !fs::exists(from, error)) return;
  AtomicFile file(to);
  std::ifstream in(from, std::ios::binary);
  if (!in) throw Error(from.string(), "cannot open", "detect again with --resume");
  std::string buffer(size_t{1} << 20, '\0');
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0)
    file.write({buffer.data(), static_cast<size_t>(in.gcount())});
  file.commit();
}

}  // namespace

RunState collect(const std::vector<fs::path>& paths, const fs::path& out) {
  std::vector<Run> runs;
  for (const fs::path& p : paths) runs.push_back({{p}, RunFolder{p}.read()});
  if (runs.empty()) throw UsageError("cytodet collect", "needs at least one run folder");
  std::error_code ignored;
  for (const Run& r : runs)
    if (fs::equivalent(r.folder.path, out, ignored))
      throw UsageError(out.string(), "is one of the runs", "name another folder for the result");
  check_shards(runs);
  RunFolder to{out};
  make_folder(out / "boxes");
  RunState all = runs[0].state;
  all.inputs.clear();
  all.timing = nullptr;
  all.shard.index = all.shard.count = 1;
  for (const Run& r : runs) {
    for (const SlideState& s : r.state.inputs) {
      all.inputs.push_back(s);
      if (s.state != "done") continue;
      for (const char* format : {"png", "jpg"}) copy(r.folder.overlay(s, format), to.overlay(s, format), false);
      for (const Output& o : outputs())
        copy(r.folder.output(s, o.suffix), to.output(s, o.suffix), r.folder.output(s, o.suffix) == r.folder.competition(s));
      if (fs::exists(r.folder.mask(s), ignored)) {
        make_folder(out / "masks");
        copy(r.folder.mask(s), to.mask(s), true);
      }
      copy(r.folder.boxes(s), to.boxes(s), true);
    }
  }
  std::sort(all.inputs.begin(), all.inputs.end(), [](const SlideState& a, const SlideState& b) { return a.index < b.index; });
  assemble_detections(to, all);
  to.write(all);
  return all;
}

}  // namespace cytodet
