#include "core/output_target.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <map>
#include <mutex>
#include <string_view>

#include "core/error.h"
#include "core/file.h"

namespace cytodet::core {
namespace {

// One of the program's named pipes: opened before the work, written after it.
struct OpenPipes {
  std::mutex mutex;
  std::map<std::pair<dev_t, ino_t>, int> descriptors;
};
OpenPipes& open_pipes() {
  static OpenPipes pipes;
  return pipes;
}

std::pair<dev_t, ino_t> identity(int fd) {
  struct stat info {};
  ::fstat(fd, &info);
  return {info.st_dev, info.st_ino};
}

int wait_for_reader(const std::filesystem::path& path, const std::filesystem::path& named) {
  constexpr int kTries = 100;
  const timespec pause{0, 100'000'000};
  for (int tried = 0; tried < kTries; ++tried) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
      ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
      return fd;
    }
    if (errno != ENXIO && errno != EINTR) throw file_error(named, "open", errno);
    ::nanosleep(&pause, nullptr);
  }
  throw Error(named.string(), "is a named pipe that nobody reads", "start its reader first");
}

int open_pipe(const std::filesystem::path& path, const std::filesystem::path& named) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) throw file_error(named, "open", errno);
  OpenPipes& pipes = open_pipes();
  const std::lock_guard lock(pipes.mutex);
  if (auto it = pipes.descriptors.find({info.st_dev, info.st_ino}); it != pipes.descriptors.end()) return it->second;
  const int fd = wait_for_reader(path, named);
  pipes.descriptors[identity(fd)] = fd;
  return fd;
}

// A copy of descriptor 1 as the program was given it.
int lent_standard_output() {
  static std::mutex mutex;
  static int lent = -1;
  const std::lock_guard lock(mutex);
  if (lent < 0) {
    std::fflush(stdout);
    lent = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (lent >= 0 && ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {  // standard error is closed
      const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
      ::dup2(nowhere, STDOUT_FILENO);
      ::close(nowhere);
    }
  }
  return lent;
}

bool is_for_writing(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

OutputTarget::Kind kind_of(const std::filesystem::path& named, mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      throw file_error(named, "write", EISDIR);
    case S_IFBLK:
      throw Error(named.string(), "is a disk, which is not written over", "name a file");
    case S_IFSOCK:
      throw Error(named.string(), "is a socket, which cannot be opened for writing", "name a file or a pipe");
    case S_IFCHR:
      return OutputTarget::Kind::device;
    case S_IFIFO:
      return OutputTarget::Kind::pipe;
    default:
      return OutputTarget::Kind::file;
  }
}

}  // namespace

std::optional<int> descriptor_named(const std::filesystem::path& path) {
  const std::string_view text = path.native();
  if (text == "-" || text == "/dev/stdout") return STDOUT_FILENO;
  if (text == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!text.starts_with(folder)) continue;
    int fd = -1;
    const char* end = text.data() + text.size();
    if (const auto r = std::from_chars(text.data() + folder.size(), end, fd); r.ec == std::errc() && r.ptr == end && fd >= 0)
      return fd;
  }
  return std::nullopt;
}

std::filesystem::path link_target(const std::filesystem::path& path) {
  std::error_code none;
  const std::filesystem::path to = std::filesystem::read_symlink(path, none);
  return none || to.empty() ? std::filesystem::path{} : path.parent_path() / to;
}

OutputTarget output_target(const std::filesystem::path& path) {
  OutputTarget t;
  t.path = path;
  for (int links = 0; links <= kMaxLinks; ++links) {
    if (const std::optional<int> fd = descriptor_named(t.path); fd && (links == 0 || t.path != "-")) {
      if (!is_for_writing(*fd)) throw Error(path.string(), "is not open for writing", "check the redirection");
      t.kind = OutputTarget::Kind::descriptor;
      t.descriptor = *fd;
      return t;
    }
    struct stat info {};
    if (::lstat(t.path.c_str(), &info) != 0) {
      if (errno != ENOENT) throw file_error(path, "write", errno);
      if (!t.path.has_filename()) throw file_error(path, "write", t.path.empty() ? ENOENT : EISDIR);
      return t;
    }
    if (const std::filesystem::path next = link_target(t.path); !next.empty()) {
      t.path = next;
      continue;
    }
    t.kind = kind_of(path, info.st_mode);
    if (::access(t.path.c_str(), W_OK) != 0) throw file_error(path, "write", errno);
    t.before = info;
    return t;
  }
  throw file_error(path, "write", ELOOP);
}

int open_stream(const OutputTarget& target, const std::filesystem::path& named) {
  int fd = -1;
  switch (target.kind) {
    case OutputTarget::Kind::pipe:
      return open_pipe(target.path, named);
    case OutputTarget::Kind::descriptor: {
      const int from = target.descriptor == STDOUT_FILENO ? lent_standard_output() : target.descriptor;
      fd = ::fcntl(from, F_DUPFD_CLOEXEC, 3);
      break;
    }
    default:
      fd = ::open(target.path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  }
  if (fd < 0) throw file_error(named, "open", errno);
  return fd;
}

void close_stream(const OutputTarget& target, int fd, bool written) {
  if (target.kind == OutputTarget::Kind::pipe) {
    if (!written) return;
    OpenPipes& pipes = open_pipes();
    const std::lock_guard lock(pipes.mutex);
    pipes.descriptors.erase(identity(fd));
  }
  ::close(fd);
}

}  // namespace cytodet::core
