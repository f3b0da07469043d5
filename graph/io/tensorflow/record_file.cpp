#include "graph/io/tensorflow/record_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/crc32c.h"
#include "core/error.h"
#include "core/file.h"
#include "graph/io/byte_cursor.h"

namespace cytodet::graph {
namespace {

constexpr int64_t kLength = 12, kChecksum = 4;  // bytes before and behind a record's data

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat info {};
    if (fd_ < 0) throw file_error(path, "open", errno);
    if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode)) size_ = info.st_size;
  }
  ~OpenFile() { ::close(fd_); }
  OpenFile(const OpenFile&) = delete;
  int64_t size() const { return size_; }  // 0: no regular file

  // False: the file ends before.
  bool read(int64_t offset, char* target, int64_t bytes) const {
    for (int64_t done = 0; done < bytes;) {
      const ssize_t n = ::pread(fd_, target + done, static_cast<size_t>(bytes - done), offset + done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw file_error(path_, "read", errno);
      if (n == 0) return false;
      done += n;
    }
    return true;
  }

 private:
  const std::filesystem::path& path_;
  int fd_;
  int64_t size_ = 0;
};

// Negative: the checksum of the length is wrong.
int64_t length_in(const char* head) {
  if (masked_crc(crc32c({head, 8})) != fixed32({head + 8, 4})) return -1;
  const uint64_t length = fixed32({head, 4}) | uint64_t{fixed32({head + 4, 4})} << 32;
  return length > static_cast<uint64_t>(kMaxRecord) ? kMaxRecord + 1 : static_cast<int64_t>(length);
}

}  // namespace

bool is_record_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  char head[kLength];
  const OpenFile file(path);
  return file.size() >= kLength && file.read(0, head, kLength) && length_in(head) >= 0;
}

std::vector<RecordPlace> list_records(const std::filesystem::path& path) {
  const OpenFile file(path);
  std::vector<RecordPlace> places;
  const auto damaged = [&](int64_t at, const std::string& what) {
    return Error(path.string(), "record " + std::to_string(places.size()) + " at byte " + std::to_string(at) + " " + what,
                 "the file is damaged or cut off; copy it again");
  };
  for (int64_t at = 0; at < file.size();) {
    char head[kLength];
    if (file.size() - at < kLength || !file.read(at, head, kLength)) throw damaged(at, "is cut off");
    const int64_t length = length_in(head);
    if (length < 0) throw damaged(at, "has a wrong checksum of its length");
    if (length > kMaxRecord) throw damaged(at, "is over the limit of " + std::to_string(kMaxRecord) + " bytes");
    if (length > file.size() - at - kLength - kChecksum) throw damaged(at, "is cut off");
    places.push_back({at + kLength, length});
    at += kLength + length + kChecksum;
  }
  return places;
}

std::string read_record(const std::filesystem::path& path, const RecordPlace& place) {
  const OpenFile file(path);
  const bool whole =
      place.size >= 0 && place.size <= kMaxRecord && place.offset >= 0 && place.offset <= file.size() - place.size - kChecksum;
  std::string bytes(whole ? static_cast<size_t>(place.size + kChecksum) : 0, '\0');
  if (!whole || !file.read(place.offset, bytes.data(), place.size + kChecksum))
    throw Error(path.string(), "ends within a record", "the file has changed or is cut off; copy it again");
  const uint32_t stored = fixed32({bytes.data() + place.size, kChecksum});
  bytes.resize(static_cast<size_t>(place.size));
  if (masked_crc(crc32c(bytes)) != stored)
    throw Error(path.string(), "has a wrong checksum", "the file is damaged; copy it again");
  return bytes;
}

}  // namespace cytodet::graph
