// Text files of other programs, whatever editor or system wrote them -> UTF-8. The one place for byte-order marks, UTF-16 and
// line ends; only the first bytes of plain UTF-8 are looked at, so that a text of gigabytes costs nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

// How the bytes of a text are to be read. UTF-16 without a byte-order mark is noticed by its zero bytes.
struct TextEncoding {
  bool utf16 = false, big_endian = false;
  size_t mark = 0;  // bytes of the byte-order mark
};
// From the first bytes of a text. Throws Error of `where` for UTF-32, which nothing reads.
TextEncoding text_encoding(std::string_view first, const std::string& where);

// UTF-16 that comes in pieces.
class Utf16Decoder {
 public:
  Utf16Decoder(bool big_endian, std::string where) : big_endian_(big_endian), where_(std::move(where)) {}
  // Appends as UTF-8. Throws Error with the offset of a surrogate that stands alone.
  void add(std::string_view bytes, std::string& text);
  void finish() const;  // throws where the last character is cut

 private:
  void unit(uint32_t u, std::string& text);
  [[noreturn]] void alone() const;
  bool big_endian_;
  std::string where_;
  std::optional<uint8_t> half_;  // of a unit
  uint32_t high_ = 0;            // the first surrogate of a pair
  uint64_t offset_ = 0;          // of the unit that is read
};

// The text of these bytes as UTF-8 without a byte-order mark: the bytes themselves where they are that, else `storage`. UTF-8 is
// not checked here: file names may be of other bytes.
std::string_view as_utf8(std::string_view bytes, std::string& storage, const std::string& where);
std::string decode_text(std::string bytes, const std::string& where);

// Offset of the first byte that is not UTF-8.
std::optional<size_t> invalid_utf8(std::string_view text);
// Throws Error of `where` with line, column and the byte. `before`: bytes of the file before this piece of it; then the offset is
// reported.
void check_utf8(std::string_view text, const std::string& where, size_t before = 0);

// "line 3, column 7" of a byte.
std::string text_position(std::string_view text, size_t byte);

// Lines, that end with \n, \r\n or \r.
std::vector<std::string_view> lines_of_text(std::string_view text);

}  // namespace cytodet::core
