#include "pipeline/results/run_files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/messages.h"
#include "core/settings.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStagePrefix = ".cytodet-", kStageSuffix = "-0.stage";
constexpr const char* kReserve = "reserve";  // a staged file: space for run.json on a disk that is full
constexpr size_t kReservePerSlide = 512;     // bytes by which run.json grows
constexpr size_t kHashBlock = size_t{1} << 20;
constexpr size_t kBoxesStart = 27;  // bytes of a BoxesHeader that are always the same: {"format":"cytodet boxes 1"
constexpr std::string_view kJournalHeader = "{\"format\":\"cytodet run journal 1\"}\n";

std::string stage_name() { return std::string(kStagePrefix) + std::to_string(::getpid()) + std::string(kStageSuffix); }

// The folder of a process that is gone. What it holds was never moved to its name.
bool is_dead_stage(const std::string& name) {
  if (!name.starts_with(kStagePrefix) || !name.ends_with(kStageSuffix)) return false;
  const char* begin = name.data() + kStagePrefix.size();
  const char* end = name.data() + name.size() - kStageSuffix.size();
  int pid = 0;
  if (begin >= end || std::from_chars(begin, end, pid).ptr != end || pid <= 0) return false;
  return pid == ::getpid() || (::kill(pid, 0) != 0 && errno == ESRCH);
}

// Plain files alone: nothing else is ever put into it.
void remove_stage(const fs::path& stage) {
  std::error_code ignored;
  for (const fs::path& folder : {stage / "boxes", stage / "masks", stage}) {
    std::vector<fs::path> files;
    for (const auto& e : fs::directory_iterator(folder, ignored))
      if (fs::is_regular_file(e.symlink_status(ignored))) files.push_back(e.path());
    for (const fs::path& p : files) fs::remove(p, ignored);
    ::rmdir(folder.c_str());
  }
}

[[noreturn]] void fail_to(const char* doing, const fs::path& path, int error_number) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  throw Error(path.string(), std::string("cannot ") + doing + ": " + std::strerror(error_number),
              full ? "free some space or write elsewhere" : "check the folder and its permissions")
      .caused_by(full ? Cause::disk_full : Cause::other);
}

void sync(int fd, const fs::path& path) {
  if (::fdatasync(fd) != 0 && errno != EINVAL && errno != EROFS) fail_to("write", path, errno);
}

// Between two disks, where the folder of boxes is a link to another.
void copy_to_free(const fs::path& from, const fs::path& to) {
  AtomicFile copy(to);
  copy.write(read_file(from));
  copy.commit();
  ::unlink(from.c_str());
}

// Onto a name that nobody has. false: somebody has it.
bool move_to_free(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  const int error = errno;
  if (error == EEXIST) return false;
  if (error != EINVAL && error != ENOSYS && error != EXDEV) fail_to("rename to", to, error);
  // A file system that cannot.
  if (error != EXDEV && ::link(from.c_str(), to.c_str()) == 0) {
    ::unlink(from.c_str());
    return true;
  }
  struct stat info {};
  if (::lstat(to.c_str(), &info) == 0) return false;
  if (error == EXDEV)
    copy_to_free(from, to);
  else if (::rename(from.c_str(), to.c_str()) != 0)
    fail_to("rename to", to, errno);
  return true;
}

[[noreturn]] void not_ours(const fs::path& path) {
  throw Error(path.string(), "was put there or changed while the run was going on, and is left as it is",
              "move it away, then go on with --resume");
}

// A full block, less at the end of the file; -1: cannot be read.
ssize_t read_block(int fd, std::string& block) {
  size_t done = 0;
  while (done < block.size()) {
    const ssize_t n = ::read(fd, block.data() + done, block.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

// Name, size and hash of bytes in memory, equal to what measured_file() finds for a file that holds them.
OwnFile file_of(const std::string& name, std::string_view bytes) {
  Hash hash;
  for (size_t at = 0; at < bytes.size(); at += kHashBlock) hash.add(bytes.substr(at, kHashBlock));
  return {name, static_cast<int64_t>(bytes.size()), hash.text()};
}

// What a power failure or a bad disk left of a .boxes file, which nobody else writes.
template <class Entries>
bool is_cut_short(const fs::path& path, int64_t bytes, Entries first, Entries last) {
  const bool shorter = std::any_of(first, last, [&](const auto& entry) { return bytes < entry.second.bytes; });
  if (!shorter || path.extension() != ".boxes") return false;
  const std::string start = write_settings(BoxesHeader{}).dump().substr(0, kBoxesStart);
  std::string there(kBoxesStart, '\0');
  std::ifstream in(path, std::ios::binary);
  return in.read(there.data(), static_cast<std::streamsize>(there.size())) && there == start;
}

// A line that cannot be read was cut short by a power failure or a full disk; its file was not moved then.
std::optional<OwnFile> parsed_line(const std::string& line, const std::string& where) try {
  OwnFile file;
  read_settings(parse_json(line, where), file, where);
  check_files({file}, where);
  return file;
} catch (const Error&) {
  return std::nullopt;
}

}  // namespace

std::optional<OwnFile> measured_file(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / name;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  struct stat info {};
  std::optional<OwnFile> file;
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    Hash hash;
    std::string block(std::min(kHashBlock, static_cast<size_t>(info.st_size) + 1), '\0');
    int64_t bytes = 0;
    ssize_t n = 0;
    while ((n = read_block(fd, block)) > 0) {
      hash.add({block.data(), static_cast<size_t>(n)});
      bytes += n;
    }
    if (n == 0) file = OwnFile{name, bytes, hash.text()};
  }
  ::close(fd);
  return file;
}

FolderLock::FolderLock(const fs::path& folder) : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0 || ::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK) {
    ::close(fd_);
    throw Error(folder.string(), "another cytodet is writing into this folder", "wait for it, or name another folder");
  }
  // Shared storage without locks: nobody can be kept out, which the user must know.
  print_warning(folder.string() + ": cannot be locked (" + std::strerror(errno) +
                "): see to it that no other process writes into this folder, see docs/clusters.md");
}
FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

RunFiles::Stamp RunFiles::stamp_of(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return {};
  return {S_ISREG(info.st_mode), info.st_dev, info.st_ino, info.st_size,
          int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec};
}

RunFiles::RunFiles(fs::path folder, Hook hook)
    : folder_(std::move(folder)), stage_(folder_ / stage_name()), hook_(std::move(hook)) {
  std::error_code ignored;
  made_folder_ = !fs::exists(folder_, ignored);
  {
    const MakingPath making;
    make_folder(folder_);
    if (made_folder_) live_folder_ = LivePath(folder_);
  }
  lock_.emplace(folder_);
  read_before();
  read_journal();
}

RunFiles::~RunFiles() {
  discard_staged();
  lock_.reset();
  if (made_folder_) ::rmdir(folder_.c_str());  // only while it is empty
}

void RunFiles::read_before() {
  const fs::path file = path(RunFolder::kRunJson);
  const Stamp stamp = stamp_of(file);
  if (stamp.bytes < 0) return;
  try {
    if (!stamp.plain) throw Error(file.string(), "is no plain file");
    RunState s = RunFolder{folder_}.read();
    if (s.version.empty()) throw Error(file.string(), "does not give the version that made it");
    before_ = std::move(s);
  } catch (const Error& e) {
    throw Error(file.string(), "stands where the run writes its own, and cannot be read as one: " + e.problem(),
                "move it away, or name another folder");
  }
  if (const auto now = measured_file(folder_, RunFolder::kRunJson)) list(*now);
  size_t count = before_->files.size();
  for (const OwnFile& f : before_->files) list(f);
  for (const ImageResult& s : before_->inputs) {
    count += s.files.size();
    for (const OwnFile& f : s.files) list(f);
  }
  unlisted_ = count == 0;
}

void RunFiles::read_journal() {
  const fs::path file = path(RunFolder::kJournal);
  const Stamp stamp = stamp_of(file);
  if (stamp.bytes < 0) return;
  const std::string text = stamp.plain ? read_file(file) : "";
  if (!text.starts_with(kJournalHeader))
    throw Error(file.string(), "stands where the run keeps its journal, and is none", "move it away, or name another folder");
  has_journal_ = true;
  unlisted_ = false;
  for (size_t at = kJournalHeader.size(); at < text.size();) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    if (const auto listed = parsed_line(text.substr(at, end - at), file.string())) list(*listed);
    at = end + 1;
  }
}

bool RunFiles::unlisted_before() const { return before_ && unlisted_; }

RunFiles::Whose RunFiles::whose(const std::string& name) const {
  const Stamp stamp = stamp_of(path(name));
  if (stamp.bytes < 0) return Whose::nobody;
  if (!stamp.plain) return Whose::foreign;
  if (const auto known = known_.find(name); known != known_.end() && known->second == stamp) return Whose::ours;
  if (name == RunFolder::kJournal) return has_journal_ ? Whose::ours : Whose::foreign;
  const auto [first, last] = listed_.equal_range(name);
  if (is_cut_short(path(name), stamp.bytes, first, last)) return Whose::ours;
  if (std::none_of(first, last, [&](const auto& entry) { return entry.second.bytes == stamp.bytes; })) return Whose::foreign;
  const std::optional<OwnFile> now = measured_file(folder_, name);
  const auto is_now = [&](const auto& entry) {
    return now && entry.second.bytes == now->bytes && entry.second.hash == now->hash;
  };
  if (std::none_of(first, last, is_now)) return Whose::foreign;
  known_[name] = stamp;
  return Whose::ours;
}

bool RunFiles::remove(const std::string& name) {
  if (whose(name) != Whose::ours) return false;
  operation("remove " + name);
  known_.erase(name);
  if (::unlink(path(name).c_str()) != 0 && errno != ENOENT) fail_to("remove", path(name), errno);
  return true;
}

void RunFiles::begin(const RunState& state) {
  std::error_code ignored;
  std::vector<std::string> dead;
  for (const auto& e : fs::directory_iterator(folder_, ignored))
    if (is_dead_stage(e.path().filename().string())) dead.push_back(e.path().string());
  for (const std::string& stage : dead) remove_stage(stage);
  write_state(state);
  start_journal();
  reserve(static_cast<int64_t>(RunFolder::text(state).size() + kReservePerSlide * state.inputs.size()));
}

void RunFiles::reserve(int64_t bytes) {
  const int fd = ::open(staged(kReserve).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return;
  if (::fallocate(fd, 0, 0, bytes) != 0) ::unlink(staged(kReserve).c_str());  // goes without
  ::close(fd);
}

fs::path RunFiles::staged(const std::string& name) {
  const fs::path file = stage_ / fs::path(name);
  const MakingPath making;
  for (const fs::path& folder : {stage_, file.parent_path()}) {
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) fail_to("create", path(name), errno);
    live_.try_emplace(folder, folder);
  }
  live_.try_emplace(file, file);
  return file;
}

void RunFiles::make(const std::function<void()>& work) const {
  try {
    work();
  } catch (const Error& e) {
    const std::string stage = stage_.string() + "/";
    if (!e.where().starts_with(stage)) throw;
    throw Error(path(e.where().substr(stage.size())).string(), e.problem(), e.fix(), e.code()).caused_by(e.cause());
  }
}

void RunFiles::try_name(const std::string& name) {
  const fs::path file = staged(name);
  operation("try " + name);
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) fail_to("create", path(name), errno);
  ::close(fd);
  ::unlink(file.c_str());
}

void RunFiles::start_journal() {
  operation("start journal");
  const fs::path file = staged(RunFolder::kJournal);
  make([&] { write_file(file, kJournalHeader); });
  const bool free = stamp_of(path(RunFolder::kJournal)).bytes < 0;
  if (!free && !has_journal_) not_ours(path(RunFolder::kJournal));
  if (free ? !move_to_free(file, path(RunFolder::kJournal)) : ::rename(file.c_str(), path(RunFolder::kJournal).c_str()) != 0)
    not_ours(path(RunFolder::kJournal));
  has_journal_ = true;
}

void RunFiles::append_to_journal(const std::vector<OwnFile>& files) {
  std::string lines;
  for (const OwnFile& f : files) lines += "\n" + write_settings(f).dump() + "\n";  // also after a line that was cut short
  const fs::path journal = path(RunFolder::kJournal);
  operation("append to journal");
  const int fd = ::open(journal.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) fail_to("write", journal, errno);
  try {
    for (size_t done = 0; done < lines.size();) {
      const ssize_t n = ::write(fd, lines.data() + done, lines.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_to("write", journal, errno);
      done += static_cast<size_t>(n);
    }
    sync(fd, journal);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
}

void RunFiles::move_to_name(const OwnFile& file) {
  const fs::path from = staged(file.name), to = path(file.name);
  const Whose owner = whose(file.name);
  operation("move to " + file.name);
  if (owner == Whose::foreign || (owner == Whose::nobody && !move_to_free(from, to))) not_ours(to);
  if (owner == Whose::ours && ::rename(from.c_str(), to.c_str()) != 0) fail_to("rename to", to, errno);
  known_[file.name] = stamp_of(to);
}

std::vector<OwnFile> RunFiles::place(const std::vector<std::string>& names) {
  std::vector<OwnFile> files;
  for (const std::string& name : names) {
    std::optional<OwnFile> file = measured_file(stage_, name);
    if (!file) fail_to("read", path(name), ENOENT);
    files.push_back(std::move(*file));
  }
  append_to_journal(files);
  size_t moved = 0;
  try {
    for (; moved < files.size(); ++moved) {
      if (const fs::path parent = path(files[moved].name).parent_path(); parent != folder_) make_folder(parent);
      move_to_name(files[moved]);
      live_.erase(stage_ / fs::path(files[moved].name));
      list(files[moved]);
    }
  } catch (const Error&) {
    // Either all of them or none. What cannot be removed either stays listed in the journal.
    for (size_t i = 0; i < moved; ++i) remove(files[i].name);
    throw;
  }
  return files;
}

void RunFiles::discard_staged() {
  remove_stage(stage_);
  live_.clear();
}

void RunFiles::write_state(const RunState& state) {
  const std::string name = RunFolder::kRunJson, text = RunFolder::text(state);
  const fs::path file = path(name), made = staged(name);
  try {
    make([&] { write_file(made, text); });
  } catch (const Error& e) {
    if (e.cause() != Cause::disk_full || ::unlink(staged(kReserve).c_str()) != 0) throw;
    make([&] { write_file(made, text); });
  }
  const Whose owner = whose(name);
  operation("write run.json");
  if (owner == Whose::foreign || (owner == Whose::nobody && !move_to_free(made, file))) not_ours(file);
  if (owner == Whose::ours && ::rename(made.c_str(), file.c_str()) != 0) fail_to("rename to", file, errno);
  listed_.erase(name);
  list(file_of(name, text));
  known_[name] = stamp_of(file);
}

void RunFiles::end(const RunState& state) {
  write_state(state);
  operation("remove journal");
  if (has_journal_) ::unlink(path(RunFolder::kJournal).c_str());
  has_journal_ = false;
}

}  // namespace cytodet::pipeline
