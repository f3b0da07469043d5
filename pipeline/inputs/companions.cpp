#include "pipeline/inputs/companions.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "core/ascii.h"
#include "tiling/slides/formats/known_formats.h"
#include "tiling/slides/formats/split_pieces.h"

namespace cytodet::pipeline {
namespace {

std::string extension(const std::string& file) { return lower_ascii(std::filesystem::path(file).extension().string()); }

// Skipped whatever they hold: their content is part of an image, or a copy of one that somebody edits.
bool is_unfinished(const std::string& file) {
  return is_unfinished_download(file) || std::filesystem::path(file).filename().string().starts_with("~$");
}

bool file_holds_image(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  struct stat info {};
  std::array<uint8_t, kFormatHead> bytes{};
  const ssize_t n = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? ::read(fd, bytes.data(), bytes.size()) : 0;
  ::close(fd);
  return holds_image({bytes.data(), static_cast<size_t>(std::max<ssize_t>(n, 0))});
}

}  // namespace

bool named_as_image(const std::string& file) {
  // Formats of the table that lie beside slides as reports, films and tables.
  static const std::set<std::string> kDocuments{".pdf", ".mp4", ".mov", ".avi", ".h5", ".hdf5"};
  static const std::set<std::string> kWrappings{".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".tar", ".icloud"};
  if (kWrappings.contains(extension(file))) return named_as_image(std::filesystem::path(file).stem().string());
  if (const std::filesystem::path whole = whole_of_piece(file); !whole.empty()) return named_as_image(whole.string());
  return called_as_slide(file) && !kDocuments.contains(extension(file));
}

bool is_companion(const std::string& file) {
  if (is_unfinished(file)) return true;
  return !named_as_image(file) && !file_holds_image(file);
}

std::string names_of_files(const std::vector<std::string>& files) {
  constexpr size_t kShown = 20;
  std::string names;
  for (size_t i = 0; i < std::min(files.size(), kShown); ++i)
    names += (i ? ", " : "") + std::filesystem::path(files[i]).filename().string();
  return files.size() > kShown ? names + ", ... (" + std::to_string(files.size()) + " files)" : names;
}

}  // namespace cytodet::pipeline
