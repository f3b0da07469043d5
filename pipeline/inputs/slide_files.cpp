#include "pipeline/inputs/slide_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <sstream>

#include "core/ascii.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"

namespace cytodet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBlock = int64_t{64} << 10, kCompanionBlock = int64_t{4} << 10;  // bytes
constexpr int kBlocks = 18, kCompanionBlocks = 4;                                  // the first, the last, and some between
constexpr int64_t kMaxList = int64_t{1} << 20;                                     // bytes of a .vms

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (std::error_code unknown; it->is_regular_file(unknown)) files.push_back(it->path());
  return files;
}

// "ImageFile=name.jpg", a line each.
std::vector<fs::path> named_in(const fs::path& list) try {
  std::vector<fs::path> files;
  std::istringstream lines(read_file(list, kMaxList));
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
    const size_t at = line.find('=');
    if (at == std::string::npos || at + 1 == line.size()) continue;
    const fs::path file = list.parent_path() / line.substr(at + 1);
    if (std::error_code unknown; fs::is_regular_file(file, unknown)) files.push_back(file);
  }
  return files;
} catch (const Error&) {
  return {};
}

// `count` blocks of `block` bytes: the first, the last, and some spread between; all bytes of a small file. false: unreadable.
bool add_blocks(Hash& hash, const fs::path& path, int64_t block, int count) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  struct stat info {};
  bool good = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const int64_t bytes = info.st_size;
  hash.add(std::to_string(bytes));
  std::string buffer(static_cast<size_t>(block), '\0');
  const int64_t blocks = std::min<int64_t>(count, (bytes + block - 1) / block);
  for (int64_t i = 0; good && i < blocks; ++i) {
    const int64_t at = bytes <= block * count ? i * block : i == blocks - 1 ? bytes - block : (bytes - block) / (blocks - 1) * i;
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), at);
    good = n > 0;
    if (good) hash.add({buffer.data(), static_cast<size_t>(n)});
  }
  ::close(fd);
  return good;
}

}  // namespace

std::vector<fs::path> companions_of(const fs::path& slide) {
  const std::string extension = lower_ascii(slide.extension().string());
  std::vector<fs::path> files;
  if (extension == ".mrxs") files = files_in(slide.parent_path() / slide.stem());
  if (extension == ".vsi") files = files_in(slide.parent_path() / ("_" + slide.stem().string() + "_"));
  if (extension == ".vms" || extension == ".vmu") files = named_in(slide);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

SlideIdentity slide_stamp(const fs::path& slide) {
  std::error_code error;
  SlideIdentity id;
  id.bytes = static_cast<int64_t>(fs::file_size(slide, error));
  if (error) id.bytes = 0;
  const auto time = fs::last_write_time(slide, error);
  if (!error) id.time_ns = static_cast<int64_t>(time.time_since_epoch().count());
  return id;
}

SlideIdentity slide_identity(const fs::path& slide) {
  SlideIdentity id = slide_stamp(slide);
  Hash hash;
  if (!add_blocks(hash, slide, kBlock, kBlocks)) return id;
  for (const fs::path& file : companions_of(slide)) {
    hash.add(file.filename().string());
    if (!add_blocks(hash, file, kCompanionBlock, kCompanionBlocks)) return id;
  }
  id.hash = hash.text();
  return id;
}

}  // namespace cytodet::pipeline
