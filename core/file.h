// Files: bounded reading, and writing aside then renaming, so that no partial file is left under its final name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace cytodet {

// Whole content. Throws Error naming the file when it is missing, a directory, unreadable or over max_bytes.
std::string read_file(const std::filesystem::path& path, int64_t max_bytes = int64_t{2} << 30);

// Writes to "<path>.part-<pid>-<n>" in the same folder; commit() flushes, syncs and renames onto path. Without commit()
// the partial file is removed. Errors (no folder, no permission, disk full) are thrown by write() and commit().
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  void commit();
  const std::filesystem::path& temporary() const { return temporary_; }  // for libraries that write by path

 private:
  [[noreturn]] void fail(const char* doing, int error_number) const;
  std::filesystem::path path_, temporary_;
  std::string buffer_;
  int fd_ = -1;
  void flush();
};

// AtomicFile in one call.
void write_file(const std::filesystem::path& path, std::string_view bytes);

// Makes the folder and its parents. Throws Error when it cannot, or when something else has that name.
void make_folder(const std::filesystem::path& path);

}  // namespace cytodet
