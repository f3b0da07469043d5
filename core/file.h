// Files: bounded reading, and writing aside then renaming, so that no partial file is left under its final name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/live_paths.h"
#include "core/output_target.h"

namespace cytodet::core {

// Whole content. Throws Error naming the file when it is missing, a directory, unreadable or over max_bytes.
std::string read_file(const std::filesystem::path& path, int64_t max_bytes = int64_t{2} << 30);

// What a failed call of the system means for a file: "<path>: cannot <doing>: <reason>; <what to do>", with its cause.
Error file_error(const std::filesystem::path& path, const std::string& doing, int error_number);

// An output. A file is written to "cytodet-<pid>-<n>.part" in its folder; commit() flushes, syncs and renames it onto the name,
// which keeps the permissions and, where allowed, the owner of the file that was there. A symbolic link stays, and the file that
// it leads to is replaced. Without commit(), or when a signal ends the program, the partial file is removed. "-", devices, named
// pipes and /dev/fd/N are written through. Errors (no folder, no permission, disk full) are thrown by the constructor, write()
// and commit(); a constructor alone finds out before long work whether there is anywhere to write.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  void commit();

 private:
  bool is_stream() const { return target_.kind != OutputTarget::Kind::file; }
  void open_partial();
  void keep_owner();
  void flush();
  void copy_through();
  std::filesystem::path path_, partial_;
  OutputTarget target_;
  LivePath live_;
  std::string buffer_;
  int fd_ = -1;
};

// While it lives, every AtomicFile that this thread commits is shown to `call` before it takes its name: with the partial file,
// which holds all of the content, and the name. What `call` throws is thrown by commit(), and no file is placed then.
class BeforePlacing {
 public:
  using Call = std::function<void(const std::filesystem::path& partial, const std::filesystem::path& name)>;
  explicit BeforePlacing(Call call);
  ~BeforePlacing();
  BeforePlacing(const BeforePlacing&) = delete;
  BeforePlacing& operator=(const BeforePlacing&) = delete;

 private:
  friend class AtomicFile;
  Call call_;
  BeforePlacing* outer_;
};

// Removes what killed processes left in a folder: plain files whose names have exactly the form of partial files, of processes
// that are gone. Partial files of others, also of other machines that write into the folder, are locked and stay. Returns how
// many were removed.
int remove_partial_files(const std::filesystem::path& folder);

// AtomicFile in one call.
void write_file(const std::filesystem::path& path, std::string_view bytes);

// Makes the folder and its parents. Throws Error when it cannot, or when something else has that name.
void make_folder(const std::filesystem::path& path);

// make_folder() for results that are written later: a folder that was not there, and that nothing was written into when this
// ends, is removed again. An empty path: nothing.
class ResultFolder {
 public:
  explicit ResultFolder(std::filesystem::path path);
  ~ResultFolder();
  ResultFolder(const ResultFolder&) = delete;

 private:
  std::filesystem::path made_;  // empty: it was there
};

}  // namespace cytodet::core
