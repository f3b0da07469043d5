// The file formats that people hand to this program, read or not: one table for names and contents, so that no file is taken for
// what it is not.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace cytodet::tiling {

enum class FormatUse {
  image,   // a plain image; the content alone decides whether it is read
  slide,   // read by an entry of slide_formats(); other contents under its name are tried as what they are
  strict,  // a slide under whose name no other content is taken: it must hold the magic, or OpenSlide must know it
  unread,  // known and not read: other formats, parts and wrappings of slides; by name or content
};

// Bytes at an offset of the file; empty: unused.
struct Magic {
  size_t offset = 0;
  std::string_view bytes;
};

struct KnownFormat {
  const char* name;        // as messages say it
  const char* extensions;  // lower case, without the leading point, parted by blanks; "": known by content alone
  std::array<Magic, 4> magic;
  FormatUse use;
  const char* what;    // of formats that are not read: the problem, behind the name of the file
  const char* advice;  // and what to do
  bool alone = false;  // the content alone makes a file of a folder an input, whatever its name; not where documents begin alike
};
std::span<const KnownFormat> known_formats();

// Bytes of a file's start that its content is recognised by.
constexpr size_t kFormatHead = 1024;

// Whether a file of a folder is an image by its content alone (KnownFormat::alone), so that its name does not matter.
bool holds_image(std::span<const uint8_t> head);
// By the name, whatever its case; the longest extension counts ("a.companion.ome"). Null: no entry has it.
const KnownFormat* format_called(const std::filesystem::path& path);
// By the content: the first entry whose magic the head holds. Null: none.
const KnownFormat* format_holding(std::span<const uint8_t> head);

// By the name that programs give to what they are downloading.
bool is_unfinished_download(const std::filesystem::path& path);
// Whether a folder of this name is meant as a slide: in a folder of inputs it is taken, so that opening it says what it is.
bool called_as_slide(const std::filesystem::path& path);
// What a folder holds that belongs to one slide and is no folder of inputs (OME-Zarr, a MIRAX slide's data); throws Error that
// names it. Other folders pass.
void check_folder(const std::filesystem::path& folder);
bool is_slide_folder(const std::filesystem::path& folder);

// Throws Error where a file is, by its name or content, of a format that is not read, a part or a wrapping of a slide, or of a
// format whose other files (folders) are missing. The Error names no file: the caller adds it. `size` is the file's.
void check_known_format(const std::filesystem::path& path, std::span<const uint8_t> head, int64_t size);

// A sentence about a plain image under the name of a slide, which may be its preview; empty: nothing is strange.
std::string doubt_of_name(const std::filesystem::path& path, std::span<const uint8_t> head);

// " (called .x, as ... are)": of a file whose content no entry knows.
std::string claim_of_name(const std::filesystem::path& path);

}  // namespace cytodet::tiling
