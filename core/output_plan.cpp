#include "core/output_plan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/output_target.h"
#include "core/unicode.h"

namespace cytodet::core {
namespace {

bool is_there(const std::filesystem::path& path, struct stat& info) { return ::stat(path.c_str(), &info) == 0; }

[[noreturn]] void clash(const std::filesystem::path& output, const std::string& what, const std::string& fix) {
  throw UsageError(output.string(), what, fix);
}

}  // namespace

// A link that leads nowhere stands for the file that writing would make.
OutputPlan::Place OutputPlan::place_of(const std::filesystem::path& path, int links, std::filesystem::path& folder) {
  struct stat info {};
  if (is_there(path, info)) {
    folder = path;
    return {info.st_dev, info.st_ino, {}};
  }
  if (const std::filesystem::path to = link_target(path); !to.empty() && links < kMaxLinks)
    return place_of(to, links + 1, folder);
  std::filesystem::path above = path.parent_path(), name = path.filename();
  if (above == path) return {};  // no root
  if (above.empty()) above = ".";
  if (name.empty() || name == ".") return place_of(above, links, folder);
  if (name == "..") return place_of(above.has_parent_path() ? above.parent_path() : ".", links, folder);
  Place p;
  if (auto known = folders_.find(above.native()); known != folders_.end()) {
    p = known->second;
    folder = above;
  } else {
    p = place_of(above, links, folder);
    if (p.exists()) folders_.emplace(above.native(), p);
  }
  p.rest += (p.rest.empty() ? "" : "/") + name.string();
  return p;
}

void OutputPlan::add_output(const std::filesystem::path& path, const std::string& what) {
  if (path.empty()) return;
  File file{path, what, {}, {}};
  struct stat info {};
  if (const std::optional<int> fd = descriptor_named(path))
    file.place.inode = static_cast<ino_t>(*fd);  // device 0: no file has it
  else if (is_there(path, info) && S_ISCHR(info.st_mode))
    return;
  else
    file.place = place_of(path, 0, file.folder);
  outputs_.push_back(std::move(file));
}

std::vector<std::filesystem::path> OutputPlan::outputs() const {
  std::vector<std::filesystem::path> paths;
  for (const File& f : outputs_) paths.push_back(f.path);
  return paths;
}

void OutputPlan::check_against_inputs() const {
  for (const File& o : outputs_) {
    if (!o.place.exists() || o.place.device == 0) continue;
    if (const InputFiles::File* input = inputs_.find(o.place.device, o.place.inode))
      clash(o.path, written_over(o.what, *input, o.path), "name another file");
  }
}

// Names that differ in case or normal form alone are tried on their file system.
void OutputPlan::check_against_outputs() const {
  std::map<Place, const File*> outputs;
  for (const File& o : outputs_) {
    Place key = o.place;
    key.rest = name_key(key.rest);
    const auto [it, fresh] = outputs.try_emplace(key, &o);
    if (fresh) continue;
    const File& other = *it->second;
    if (other.place.rest == o.place.rest || names_are_one(o.folder, other.place.rest, o.place.rest))
      clash(o.path, o.what + " and " + named_file(other.what, other.path, o.path) + ", would be one file", "name two files");
  }
}

void OutputPlan::check() const {
  check_against_inputs();
  check_against_outputs();
}

void check_outputs(const OutputPlan& plan) {
  plan.check();
  for (const std::filesystem::path& output : plan.outputs()) AtomicFile writable(output);
}

namespace {

// A folder that nobody else knows, for names to be tried in.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& in) : path_((in / ".cytodet-names-XXXXXX").string()) {
    const MakingPath making;
    made_ = ::mkdtemp(path_.data()) != nullptr;
    if (made_) live_ = LivePath(path_);
  }
  ~ScratchFolder() {
    if (made_) ::rmdir(path_.c_str());
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  bool takes_for_one(const std::string& a, const std::string& b) const {
    if (!made_) return true;
    const std::string first = path_ + "/" + a, second = path_ + "/" + b;
    struct stat info {};
    const MakingPath making;
    const int fd = ::open(first.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return true;
    ::close(fd);
    const bool one = ::lstat(second.c_str(), &info) == 0;
    ::unlink(first.c_str());
    return one;
  }

 private:
  std::string path_;
  bool made_ = false;
  LivePath live_;
};

}  // namespace

bool names_are_one(const std::filesystem::path& folder, const std::string& a, const std::string& b) {
  const std::filesystem::path x = a, y = b;
  if (std::distance(x.begin(), x.end()) != std::distance(y.begin(), y.end())) return false;
  const ScratchFolder scratch(folder);
  return std::equal(x.begin(), x.end(), y.begin(), [&](const std::filesystem::path& i, const std::filesystem::path& j) {
    return i == j || scratch.takes_for_one(i.string(), j.string());
  });
}

}  // namespace cytodet::core
