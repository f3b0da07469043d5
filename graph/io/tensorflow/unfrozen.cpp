#include "graph/io/tensorflow/unfrozen.h"

#include <fstream>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "graph/io/tensorflow/meta_graph.h"
#include "graph/io/tensorflow/parse_message.h"
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

// The first 64 KiB, and the last 48 bytes: what other_kind looks at.
std::string ends_of(const fs::path& path) {
  constexpr std::streamsize kHead = 64 << 10, kTail = 48;
  std::ifstream in(path, std::ios::binary);
  std::string bytes(kHead, '\0');
  in.read(bytes.data(), kHead);
  bytes.resize(static_cast<size_t>(in.gcount()));
  if (in.gcount() < kHead) return bytes;
  in.clear();
  std::string tail(kTail, '\0');
  in.seekg(-kTail, std::ios::end);
  in.read(tail.data(), kTail);
  return bytes + tail;
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

Unfrozen checkpoint_at(const fs::path& prefix) { return {SavedForm::meta_graph, prefix.string() + ".meta", prefix}; }

Unfrozen saved_model_at(const fs::path& file) {
  return {SavedForm::saved_model, file, file.parent_path() / "variables" / "variables"};
}

// The variables of a SavedModel are a checkpoint, too.
Unfrozen beside_saved_model(const fs::path& prefix) {
  const fs::path file = saved_model_file(prefix.parent_path().parent_path());
  const bool inside = prefix.filename() == "variables" && prefix.parent_path().filename() == "variables" && !file.empty();
  return inside ? saved_model_at(file) : checkpoint_at(prefix);
}

}  // namespace

std::optional<Unfrozen> find_unfrozen(const fs::path& path) {
  const auto kind = is_folder(path) ? folder_kind(path) : is_file(path) ? other_kind(ends_of(path), path) : std::nullopt;
  if (!kind && !is_file(path) && is_file(path.string() + ".index")) return beside_saved_model(path);
  switch (kind ? kind->form : SavedForm::none) {
    case SavedForm::saved_model:
      return saved_model_at(is_folder(path) ? saved_model_file(path) : path);
    case SavedForm::meta_graph:
      return Unfrozen{SavedForm::meta_graph, path, prefix_of_file(path)};
    case SavedForm::checkpoint:
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

std::vector<fs::path> files_of_graph(const fs::path& path) {
  std::optional<Unfrozen> found;
  try {
    found = find_unfrozen(path);
  } catch (const Error&) {  // told when it is read
  }
  if (!found) return {path};
  std::vector<fs::path> files{found->graph_file};
  std::error_code ignored;
  const std::string start = found->prefix.filename().string() + ".";
  for (const auto& entry :
       fs::directory_iterator(found->prefix.parent_path().empty() ? "." : found->prefix.parent_path(), ignored))
    if (entry.path().filename().string().starts_with(start)) files.push_back(entry.path());
  return files;
}

}  // namespace cytodet::graph
