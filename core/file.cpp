#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace cytodet {
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

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  static std::atomic<int> counter{0};
  std::error_code ignored;
  if (std::filesystem::is_directory(path_, ignored)) fail("write", EISDIR);
  temporary_ = path_;
  temporary_ += ".part-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("create", errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* doing, int error_number) const {
  throw Error(path_.string(), std::string("cannot ") + doing + ": " + reason(error_number), advice(error_number))
      .caused_by(cause(error_number));
}

void AtomicFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write", errno);
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
  if (::fsync(fd_) != 0 && errno != EINVAL) fail("write", errno);
  int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0) fail("write", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename to", errno);
  temporary_.clear();
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    const std::string fix = advice(error.value());
    throw Error(path.string(), "cannot make the folder: " + error.message(),
                fix.empty() ? "check the path and its permissions" : fix)
        .caused_by(cause(error.value()));
  }
  if (!std::filesystem::is_directory(path, error)) throw Error(path.string(), "is not a folder", "name another output folder");
}

}  // namespace cytodet
