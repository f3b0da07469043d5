#include "core/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <utility>

namespace cytodet::core {
namespace {

std::string reason(int error_number) { return std::strerror(error_number); }

const char* advice(int error_number) {
  switch (error_number) {
    case ENOENT:
      return "check the path";
    case ENOTDIR:
      return "check the path: a file stands where it needs a folder";
    case EISDIR:
      return "name a file";
    case EACCES:
    case EPERM:
    case EROFS:
      return "check the permissions";
    case ENOSPC:
    case EDQUOT:
      return "free some space or write elsewhere";
    case EFBIG:
      return "free some space or write elsewhere, where files may be larger";
    case ENAMETOOLONG:
      return "give a shorter name; file systems take 255 bytes";
    case EPIPE:
      return "whoever read it has stopped";
    case EINVAL:
      return "the file system may not take such a name; leave out < > : \" | ? * and a dot or blank at the end";
    case ELOOP:
      return "check the symbolic links: they lead in a circle";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files";
    case EIO:
      return "check the disk";
    default:
      return "";
  }
}

// An inode that lacks is a full disk too (ENOSPC). A file over its own limit (EFBIG) is none: other files still fit.
Cause cause(int error_number) { return error_number == ENOSPC || error_number == EDQUOT ? Cause::disk_full : Cause::other; }

constexpr std::string_view kPartialPrefix = "cytodet-", kPartialSuffix = ".part";

// Short and apart from the final name, so that names of the full length that a file system takes can be written.
std::string partial_name(int number) {
  return std::string(kPartialPrefix) + std::to_string(::getpid()) + "-" + std::to_string(number) + std::string(kPartialSuffix);
}

// 0: the name is not exactly of the form of partial_name().
int pid_of_partial(const std::string& name) {
  int pid = 0, number = 0;
  if (name.size() <= kPartialPrefix.size() + kPartialSuffix.size()) return 0;
  const char* begin = name.data() + kPartialPrefix.size();
  const char* end = name.data() + name.size() - kPartialSuffix.size();
  const auto dash = std::from_chars(begin, end, pid);
  if (dash.ec != std::errc() || dash.ptr == end || *dash.ptr != '-') return 0;
  const auto rest = std::from_chars(dash.ptr + 1, end, number);
  const bool exact =
      rest.ec == std::errc() && rest.ptr == end && pid > 0 && number >= 0 &&
      name == std::string(kPartialPrefix) + std::to_string(pid) + "-" + std::to_string(number) + std::string(kPartialSuffix);
  return exact ? pid : 0;
}

// Between the making of a partial file and its lock, this process does not look for left-overs.
std::mutex& partial_files_mutex() {
  static std::mutex mutex;
  return mutex;
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

std::string read_file(const std::filesystem::path& path, int64_t max_bytes) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) throw Error(path.string(), "cannot open: " + reason(errno), advice(errno));
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) throw Error(path.string(), "cannot stat: " + reason(errno));
  if (S_ISDIR(info.st_mode)) throw Error(path.string(), "is a directory, not a file", "name a file in it");
  if (!S_ISREG(info.st_mode)) throw Error(path.string(), "is not a regular file");
  if (info.st_size > max_bytes)
    throw Error(path.string(), "is " + std::to_string(info.st_size) + " bytes, over the limit of " + std::to_string(max_bytes));
  std::string content(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < content.size()) {
    ssize_t n = ::read(file.fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(path.string(), "cannot read: " + reason(errno));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  content.resize(done);
  return content;
}

Error file_error(const std::filesystem::path& path, const std::string& doing, int error_number) {
  return Error(path.string(), "cannot " + doing + ": " + reason(error_number), advice(error_number))
      .caused_by(cause(error_number));
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)), target_(output_target(path_)) {
  if (is_stream()) {
    fd_ = open_stream(target_, path_);
    return;
  }
  open_partial();
  keep_owner();
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  if (is_stream()) {
    close_stream(target_, fd_, false);
    return;
  }
  ::unlink(partial_.c_str());
  ::close(fd_);  // only now: what is locked is in use
}

// A name that somebody has, also a link of that name, is passed by (O_EXCL).
void AtomicFile::open_partial() {
  static std::atomic<int> counter{0};
  constexpr int kTries = 10000;
  const std::filesystem::path folder = target_.path.parent_path();
  for (int tried = 0; tried < kTries; ++tried) {
    partial_ = folder / partial_name(counter++);
    const std::lock_guard lock(partial_files_mutex());
    const MakingPath making;
    fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ >= 0) {
      ::flock(fd_, LOCK_EX | LOCK_NB);
      live_ = LivePath(partial_);
      return;
    }
    if (errno != EEXIST) break;
  }
  throw file_error(path_, "create", errno);
}

// The group at least, where the owner may not be given away; a change of owner clears bits of the mode, so that comes last.
void AtomicFile::keep_owner() {
  if (!target_.before) return;
  const struct stat& b = *target_.before;
  struct stat mine {};
  if (::fstat(fd_, &mine) != 0) return;
  const bool same = mine.st_uid == b.st_uid && mine.st_gid == b.st_gid;
  [[maybe_unused]] bool kept = same || ::fchown(fd_, b.st_uid, b.st_gid) == 0;
  kept = kept || ::fchown(fd_, static_cast<uid_t>(-1), b.st_gid) == 0;
  kept = ::fchmod(fd_, b.st_mode & 07777) == 0;
}

namespace {
thread_local BeforePlacing* first_listener = nullptr;
}
BeforePlacing::BeforePlacing(Call call) : call_(std::move(call)), outer_(std::exchange(first_listener, this)) {}
BeforePlacing::~BeforePlacing() { first_listener = outer_; }

void AtomicFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw file_error(path_, "write", errno);
    done += static_cast<size_t>(n);
  }
  buffer_.clear();
}

void AtomicFile::write(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= size_t{1} << 20) flush();
}

void AtomicFile::commit() {
  flush();
  if (is_stream()) {
    close_stream(target_, std::exchange(fd_, -1), true);
    return;
  }
  if (::fsync(fd_) != 0 && errno != EINVAL) throw file_error(path_, "write", errno);
  for (const BeforePlacing* p = first_listener; p; p = p->outer_) p->call_(partial_, target_.path);
  if (::rename(partial_.c_str(), target_.path.c_str()) != 0) {
    if (errno != EBUSY) throw file_error(path_, "rename to", errno);
    copy_through();
  }
  live_ = {};
  if (::close(std::exchange(fd_, -1)) != 0) throw file_error(path_, "write", errno);
}

// A file that is itself a mount point, as containers have them, cannot be replaced.
void AtomicFile::copy_through() {
  Descriptor from{::open(partial_.c_str(), O_RDONLY | O_CLOEXEC)};
  Descriptor to{::open(target_.path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)};
  if (from.fd < 0 || to.fd < 0) throw file_error(path_, "write", errno);
  std::string block(size_t{1} << 20, '\0');
  ssize_t n = 0;
  while ((n = ::read(from.fd, block.data(), block.size())) > 0)
    for (ssize_t done = 0, now = 0; done < n; done += now)
      if ((now = ::write(to.fd, block.data() + done, static_cast<size_t>(n - done))) < 0) throw file_error(path_, "write", errno);
  if (n < 0 || ::fsync(to.fd) != 0) throw file_error(path_, "write", errno);
  ::unlink(partial_.c_str());
}

namespace {

bool is_alive(int pid) { return ::kill(pid, 0) == 0 || errno != ESRCH; }

// Locked: in use, wherever its process runs. On file systems without locks the process must be gone; a free lock also shows
// that a file of this process's number is of an earlier process.
bool is_left_over(const std::filesystem::path& path, int pid) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  struct stat info {};
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if (::flock(file.fd, LOCK_EX | LOCK_NB) == 0) return pid == ::getpid() || !is_alive(pid);
  return errno != EWOULDBLOCK && !is_alive(pid);
}

}  // namespace

int remove_partial_files(const std::filesystem::path& folder) {
  int removed = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const int pid = pid_of_partial(name);
    const std::lock_guard lock(partial_files_mutex());
    if (pid > 0 && is_left_over(at->path(), pid) && ::unlink(at->path().c_str()) == 0) ++removed;
  }
  return removed;
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path to = path;  // behind links to folders that are not there yet
  for (int i = 0; i < kMaxLinks && !std::filesystem::exists(to, error); ++i)
    if (const std::filesystem::path target = link_target(to); !target.empty())
      to = target;
    else
      break;
  std::filesystem::create_directories(to, error);
  if (error) {
    const std::string fix = advice(error.value());
    throw Error(path.string(), "cannot make the folder: " + error.message(),
                fix.empty() ? "check the path and its permissions" : fix)
        .caused_by(cause(error.value()));
  }
  if (!std::filesystem::is_directory(path, error)) throw Error(path.string(), "is not a folder", "name another output folder");
}

ResultFolder::ResultFolder(std::filesystem::path path) {
  std::error_code ignored;
  if (path.empty()) return;
  const bool there = std::filesystem::exists(path, ignored);
  make_folder(path);
  if (!there) made_ = std::move(path);
}

ResultFolder::~ResultFolder() {
  std::error_code in_use;  // it is not empty
  if (!made_.empty()) std::filesystem::remove(made_, in_use);
}

}  // namespace cytodet::core
