#include "graph/io/tensorflow/unfrozen.h"

#include <string>

#include "core/error.h"
#include "core/file.h"
#include "graph/io/parse_message.h"
#include "graph/io/tensorflow/meta_graph.h"
#include "saved_model.pb.h"

namespace cytodet::graph {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// "checkpoint" of a folder names the newest, relative to the folder or where it lay when it was written.
fs::path newest(const fs::path& list) {
  proto::CheckpointState state;
  parse_text(read_file(list, 1 << 20), list.string(), "list of checkpoints", state, UnknownFields::skipped);
  const fs::path named = state.model_checkpoint_path(), folder = list.parent_path();
  if (named.empty()) throw Error(list.string(), "names no checkpoint", "name one by its prefix, such as model.ckpt-1000");
  const fs::path there = named.is_absolute() ? named : folder / named;
  return is_file(there.string() + ".index") ? there : folder / named.filename();
}

// "dir/x.data-00000-of-00002" -> "dir/x", and so on.
fs::path prefix_of_file(const fs::path& path) {
  const std::string name = path.filename().string();
  if (const size_t at = name.rfind(".data-"); at != std::string::npos) return path.parent_path() / name.substr(0, at);
  fs::path prefix = path;
  return prefix.replace_extension();
}

Unfrozen checkpoint_at(const fs::path& prefix) { return {ReadableKind::meta_graph, prefix.string() + ".meta", prefix}; }

Unfrozen saved_model_at(const fs::path& file) {
  return {ReadableKind::saved_model, file, file.parent_path() / "variables" / "variables"};
}

// The variables of a SavedModel are a checkpoint, too.
Unfrozen beside_saved_model(const fs::path& prefix) {
  const fs::path file = saved_model_file(prefix.parent_path().parent_path());
  const bool inside = prefix.filename() == "variables" && prefix.parent_path().filename() == "variables" && !file.empty();
  return inside ? saved_model_at(file) : checkpoint_at(prefix);
}

}  // namespace

std::optional<Unfrozen> find_unfrozen(const fs::path& path) {
  const std::optional<FileKind> kind = kind_at(path);
  switch (kind ? kind->readable : ReadableKind::none) {
    case ReadableKind::saved_model:
      return saved_model_at(is_folder(path) ? saved_model_file(path) : path);
    case ReadableKind::meta_graph:
      return Unfrozen{ReadableKind::meta_graph, path, prefix_of_file(path)};
    case ReadableKind::checkpoint:
      return beside_saved_model(checkpoint_prefix(path));
    default:
      return std::nullopt;
  }
}

fs::path checkpoint_prefix(const fs::path& path) {
  if (is_folder(path) && is_file(path / "checkpoint")) return newest(path / "checkpoint");
  if (!is_file(path)) return path;
  if (path.filename() == "checkpoint") return newest(path);
  const std::string name = path.filename().string();
  const bool part = name.ends_with(".index") || name.ends_with(".meta") || name.find(".data-") != std::string::npos;
  return part ? prefix_of_file(path) : path;
}

std::vector<fs::path> files_of(const Unfrozen& source) {
  std::vector<fs::path> files{source.graph_file};
  std::error_code ignored;
  const std::string start = source.prefix.filename().string() + ".";
  const fs::path folder = source.prefix.parent_path();
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, ignored))
    if (entry.path().filename().string().starts_with(start)) files.push_back(entry.path());
  return files;
}

}  // namespace cytodet::graph
