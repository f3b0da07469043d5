#include "graph/io/tensorflow/file_part.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace cytodet::graph {

FilePart::FilePart(std::string path, int64_t offset, int64_t size, const std::string& role)
    : path_(std::move(path)), offset_(offset), size_(size) {
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0 && errno == ENOENT) throw Error(path_, "is missing; " + role, "copy it beside the .index");
  if (fd_ < 0) throw file_error(path_, "open", errno);
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) && offset <= info.st_size && size <= info.st_size - offset) return;
  ::close(fd_);
  throw Error(path_, "ends before byte " + std::to_string(offset) + " + " + std::to_string(size) + ", which the index tells of",
              "the file is cut off; copy it again");
}

FilePart::~FilePart() {
  if (fd_ >= 0) ::close(fd_);
}

void FilePart::read(char* target) const {
  for (int64_t done = 0; done < size_;) {
    const ssize_t n = ::pread(fd_, target + done, static_cast<size_t>(size_ - done), offset_ + done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw file_error(path_, "read", errno);
    if (n == 0) throw Error(path_, "ends too soon", "the file is cut off; copy it again");
    done += n;
  }
}

}  // namespace cytodet::graph
