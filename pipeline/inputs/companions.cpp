#include "pipeline/inputs/companions.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string_view>

#include "core/ascii.h"
#include "tiling/slides/formats/known_formats.h"

namespace cytodet::pipeline {
namespace {

using namespace std::string_view_literals;

std::string extension(const std::string& file) { return lower_ascii(std::filesystem::path(file).extension().string()); }

// Skipped whatever they hold: their content is part of an image, or a copy of one that somebody edits.
bool is_unfinished(const std::string& file) {
  static const std::set<std::string> kUnfinished{".crdownload", ".part",       ".partial", ".filepart",
                                                 ".download",   ".opdownload", ".!ut",     ".aria2"};
  return kUnfinished.contains(extension(file)) || std::filesystem::path(file).filename().string().starts_with("~$");
}

// First bytes of image formats; `at`: their offset.
struct Signature {
  size_t at;
  std::string_view bytes;
};
constexpr Signature kSignatures[] = {
    {0, "\xff\xd8\xff"sv},         // JPEG
    {0, "\x89PNG"sv},              //
    {0, "II*\0"sv},                // TIFF
    {0, "MM\0*"sv},                //
    {0, "II+\0"sv},                // BigTIFF
    {0, "MM\0+"sv},                //
    {0, "\xf1\x01\xee\xeeKFB"sv},  //
    {0, "\0\0\0\x0cjP  "sv},       // JPEG 2000
    {0, "\xff\x4f\xff\x51"sv},     // its code stream
    {0, "GIF8"sv},                 //
    {8, "WEBP"sv},                 //
    {128, "DICM"sv},               // DICOM
    {0, "ZISRAWFILE"sv},           // CZI
};

// BMP has two letters alone, with which a text may begin too: four bytes that are zero follow the size of the file.
bool is_bmp(std::string_view head) { return head.size() >= 14 && head.starts_with("BM") && head.substr(6, 4) == "\0\0\0\0"sv; }

bool holds_image(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  struct stat info {};
  std::array<char, 132> bytes{};
  const ssize_t n = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? ::read(fd, bytes.data(), bytes.size()) : 0;
  ::close(fd);
  const std::string_view head(bytes.data(), static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return is_bmp(head) || std::any_of(std::begin(kSignatures), std::end(kSignatures), [&](const Signature& s) {
           return head.size() >= s.at + s.bytes.size() && head.substr(s.at, s.bytes.size()) == s.bytes;
         });
}

}  // namespace

bool named_as_image(const std::string& file) {
  // Formats of the table that lie beside slides as reports, films and tables.
  static const std::set<std::string> kDocuments{".pdf", ".mp4", ".mov", ".avi", ".h5", ".hdf5"};
  static const std::set<std::string> kWrappings{".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".tar", ".icloud"};
  if (kWrappings.contains(extension(file))) return named_as_image(std::filesystem::path(file).stem().string());
  return called_as_slide(file) && !kDocuments.contains(extension(file));
}

bool is_companion(const std::string& file) {
  if (is_unfinished(file)) return true;
  return !named_as_image(file) && !holds_image(file);
}

std::string names_of_files(const std::vector<std::string>& files) {
  constexpr size_t kShown = 20;
  std::string names;
  for (size_t i = 0; i < std::min(files.size(), kShown); ++i)
    names += (i ? ", " : "") + std::filesystem::path(files[i]).filename().string();
  return files.size() > kShown ? names + ", ... (" + std::to_string(files.size()) + " files)" : names;
}

}  // namespace cytodet::pipeline
