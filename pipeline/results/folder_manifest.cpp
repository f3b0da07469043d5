#include "pipeline/results/folder_manifest.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "pipeline/results/run_files.h"
#include "pipeline/results/run_folder.h"

namespace cytodet::pipeline {

namespace fs = std::filesystem;

FolderManifest::FolderManifest(fs::path folder) : folder_(std::move(folder)) {
  read();
  read_run();
}

// A line that was cut short by a kill lists nothing.
void FolderManifest::read() {
  std::ifstream file(folder_ / kName);
  for (std::string line; std::getline(file, line);) try {
      OwnFile one;
      read_settings(parse_json(line, kName), one, kName);
      listed_.push_back(std::move(one));
    } catch (const Error&) {
    }
}

void FolderManifest::read_run() {
  const RunFolder run{folder_};
  std::error_code ignored;
  if (!fs::exists(run.run_json(), ignored)) return;
  try {
    const RunState state = run.read();
    listed_.insert(listed_.end(), state.files.begin(), state.files.end());
    for (const ImageResult& s : state.inputs) listed_.insert(listed_.end(), s.files.begin(), s.files.end());
  } catch (const Error&) {  // another program's run.json
  }
}

bool FolderManifest::is_ours(const std::string& name) const {
  const auto is_named = [&](const OwnFile& f) { return f.name == name; };
  if (std::none_of(listed_.begin(), listed_.end(), is_named)) return false;
  const std::optional<OwnFile> now = measured_file(folder_, name);
  return now && std::any_of(listed_.begin(), listed_.end(),
                            [&](const OwnFile& f) { return is_named(f) && f.bytes == now->bytes && f.hash == now->hash; });
}

void FolderManifest::require_ours(const std::vector<std::string>& names) const {
  std::error_code ignored;
  for (const std::string& name : names)  // a folder cannot be replaced: writing reports that
    if (const fs::file_status there = fs::symlink_status(folder_ / name, ignored);
        fs::exists(there) && !fs::is_directory(there) && !is_ours(name))
      throw UsageError((folder_ / name).string(),
                       "stands there already, and was not written by this program, or was changed since",
                       "name another folder, move the file away, or give --overwrite");
}

void FolderManifest::list_what_is_written() {
  placing_.emplace([this](const fs::path& partial, const fs::path& name) {
    std::error_code ignored;
    if (fs::equivalent(name.parent_path().empty() ? "." : name.parent_path(), folder_, ignored))
      list(partial, name.filename().string());
  });
}

void FolderManifest::list(const fs::path& content, const std::string& name) {
  std::optional<OwnFile> now = measured_file(content.parent_path(), content.filename().string());
  if (!now) return;
  now->name = name;
  errno = 0;
  std::ofstream file(folder_ / kName, std::ios::app);
  // Also behind a line that was cut short.
  file << "\n" << json_line(write_settings(*now)) << "\n";
  file.close();
  if (const int why = errno; !file && (why == ENOSPC || why == EDQUOT)) throw file_error(folder_ / kName, "write", why);
  listed_.push_back(*now);
}

fs::path folder_of(const std::string& file) { return fs::absolute(file).parent_path(); }

void require_own_files(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) FolderManifest(folder_of(file.string())).require_ours({file.filename().string()});
}

}  // namespace cytodet::pipeline
