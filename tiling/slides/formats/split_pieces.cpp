#include "tiling/slides/formats/split_pieces.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>

#include "core/ascii.h"
#include "core/error.h"
#include "tiling/slides/formats/known_formats.h"

namespace cytodet::tiling {
namespace {

namespace fs = std::filesystem;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return c >= 'a' && c <= 'z'; }
template <class Is>
bool all(std::string_view text, Is is) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is);
}

// "001", "part2", "ab" (split's own), and "z01" of a zip archive.
bool numbers_piece(std::string_view extension) {
  if (extension.starts_with("part")) return all(extension.substr(4), is_digit) && extension.size() <= 8;
  if (extension.size() == 3 && extension[0] == 'z') return all(extension.substr(1), is_digit);
  if (all(extension, is_digit)) return extension.size() >= 2 && extension.size() <= 4;
  return extension.size() == 2 && extension[0] == 'a' && is_letter(extension[1]);
}

// The name with the next number or letters: "S1.svs.009" -> "S1.svs.010".
fs::path next_piece(const fs::path& path) {
  std::string name = path.string();
  for (size_t at = name.size(); at-- > 0;) {
    char& c = name[at];
    const bool wraps = c == '9' || c == 'z';
    if (!is_digit(c) && !is_letter(c)) break;
    c = c == '9' ? '0' : c == 'z' ? 'a' : static_cast<char>(c + 1);
    if (!wraps) break;
  }
  return name;
}

bool holds_known_format(const fs::path& path) {
  std::array<char, kFormatHead> head{};
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), head.size());
  return format_holding({reinterpret_cast<const uint8_t*>(head.data()), static_cast<size_t>(file.gcount())}) != nullptr;
}

}  // namespace

fs::path whole_of_piece(const fs::path& path) {
  const std::string extension = lower_ascii(path.extension().string());
  if (extension.empty() || !numbers_piece(std::string_view(extension).substr(1))) return {};
  fs::path whole = path;
  whole.replace_extension(extension[1] == 'z' ? ".zip" : "");
  return format_called(whole) ? whole : fs::path();
}

void check_split_piece(const fs::path& path, std::span<const uint8_t> head) {
  const fs::path whole = whole_of_piece(path);
  if (whole.empty()) return;
  std::error_code ignored;
  const fs::path next = next_piece(path);
  if (format_holding(head) && (!fs::is_regular_file(next, ignored) || holds_known_format(next))) return;
  throw Error("", "is a piece of a split file, " + whole.filename().string(),
              "join all pieces first, in their order (cat " + whole.filename().string() + ".* > " + whole.filename().string() +
                  ", or 7-Zip), then name the whole");
}

}  // namespace cytodet::tiling
