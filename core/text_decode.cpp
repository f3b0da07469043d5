#include "core/text_decode.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "core/error.h"

namespace cytodet::core {
namespace {

constexpr size_t kSample = 4096;  // bytes by which UTF-16 without a mark is noticed
constexpr const char* kSaveAs = "save it as UTF-8";

// Zero bytes at even and at odd offsets; text in UTF-8 has none.
std::pair<size_t, size_t> zeros(std::string_view sample) {
  std::pair<size_t, size_t> n{0, 0};
  for (size_t i = 0; i < sample.size(); ++i)
    if (sample[i] == '\0') ++(i % 2 ? n.second : n.first);
  return n;
}

std::optional<TextEncoding> unmarked_utf16(std::string_view sample) {
  const auto [even, odd] = zeros(sample);
  if (sample.size() < 2 || (even > 0) == (odd > 0)) return {};
  // A letter of ASCII first, and many: a few zeros alone are a damaged file, or names that end with zeros (find -print0).
  const bool first = (sample[0] == '\0') != (sample[1] == '\0'), many = 8 * (even + odd) >= sample.size();
  if (!first || !many) return {};
  return TextEncoding{true, even > 0, 0};
}

void append_utf8(uint32_t c, std::string& text) {
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xc0 | c >> 6);
    text += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    text += static_cast<char>(0xe0 | c >> 12);
    text += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    text += static_cast<char>(0xf0 | c >> 18);
    text += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    text += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (c & 0x3f));
  }
}

// Bytes of the character that starts here (RFC 3629); 0: none does.
size_t valid_length(std::string_view s) {
  const auto at = [&](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : 0u; };
  const auto follows = [&](size_t i) { return (at(i) & 0xc0) == 0x80; };
  const unsigned a = at(0), b = at(1);
  if (a < 0x80) return 1;
  if (a >= 0xc2 && a <= 0xdf) return follows(1) ? 2 : 0;
  if (a >= 0xe0 && a <= 0xef) {
    const bool too_long = a == 0xe0 && b < 0xa0, surrogate = a == 0xed && b > 0x9f;
    return follows(1) && follows(2) && !too_long && !surrogate ? 3 : 0;
  }
  if (a >= 0xf0 && a <= 0xf4) {
    const bool too_long = a == 0xf0 && b < 0x90, too_large = a == 0xf4 && b > 0x8f;
    return follows(1) && follows(2) && follows(3) && !too_long && !too_large ? 4 : 0;
  }
  return 0;
}

}  // namespace

TextEncoding text_encoding(std::string_view first, const std::string& where) {
  using namespace std::string_view_literals;
  if (first.starts_with("\xef\xbb\xbf")) return {false, false, 3};
  if (first.starts_with("\xff\xfe\0\0"sv) || first.starts_with("\0\0\xfe\xff"sv) ||
      (first.size() >= 8 && first[0] && first.substr(1, 3) == "\0\0\0"sv && first.substr(5, 3) == "\0\0\0"sv) ||
      (first.size() >= 8 && first[3] && first.substr(0, 3) == "\0\0\0"sv && first.substr(4, 3) == "\0\0\0"sv))
    throw Error(where, "is text in UTF-32, which is not read", kSaveAs);
  if (first.starts_with("\xff\xfe")) return {true, false, 2};
  if (first.starts_with("\xfe\xff")) return {true, true, 2};
  return unmarked_utf16(first.substr(0, kSample)).value_or(TextEncoding{});
}

void Utf16Decoder::alone() const {
  throw Error(where_, "is not valid UTF-16: a surrogate stands alone at byte " + std::to_string(offset_), kSaveAs);
}

void Utf16Decoder::unit(uint32_t u, std::string& text) {
  const bool low = u >= 0xdc00 && u <= 0xdfff;
  if ((high_ != 0) != low) alone();
  if (low) {
    append_utf8(0x10000 + ((high_ - 0xd800) << 10) + (u - 0xdc00), text);
    high_ = 0;
  } else if (u >= 0xd800 && u <= 0xdbff) {
    high_ = u;
  } else {
    append_utf8(u, text);
  }
  offset_ += 2;
}

void Utf16Decoder::add(std::string_view bytes, std::string& text) {
  for (char c : bytes) {
    const auto b = static_cast<uint8_t>(c);
    if (!half_) {
      half_ = b;
      continue;
    }
    unit(big_endian_ ? uint32_t{*half_} << 8 | b : uint32_t{b} << 8 | *half_, text);
    half_.reset();
  }
}

void Utf16Decoder::finish() const {
  if (half_) throw Error(where_, "is not valid UTF-16: it has an odd number of bytes", "the file is cut; restore it");
  if (high_) alone();
}

std::string_view as_utf8(std::string_view bytes, std::string& storage, const std::string& where) {
  const TextEncoding e = text_encoding(bytes.substr(0, kSample), where);
  bytes.remove_prefix(e.mark);
  if (!e.utf16) return bytes;
  Utf16Decoder decoder(e.big_endian, where);
  decoder.add(bytes, storage);
  decoder.finish();
  return storage;
}

std::string decode_text(std::string bytes, const std::string& where) {
  std::string storage;
  const std::string_view text = as_utf8(bytes, storage, where);
  if (text.data() == bytes.data()) return bytes;
  if (!storage.empty()) return storage;
  return std::string(text);
}

std::optional<size_t> invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t n = valid_length(text.substr(i, 4));
    if (n == 0) return i;
    i += n;
  }
  return {};
}

void check_utf8(std::string_view text, const std::string& where, size_t before) {
  const std::optional<size_t> at = invalid_utf8(text);
  if (!at) return;
  char byte[16];
  std::snprintf(byte, sizeof byte, "0x%02X", static_cast<unsigned>(static_cast<uint8_t>(text[*at])));
  const std::string place = before ? "offset " + std::to_string(before + *at) : text_position(text, *at + 1);
  throw Error(where, std::string("is not UTF-8: byte ") + byte + " at " + place, kSaveAs);
}

std::string text_position(std::string_view text, size_t byte) {
  byte = std::min(byte, text.size());
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(byte), '\n');
  const size_t start = text.substr(0, byte).rfind('\n');
  const size_t column = start == std::string_view::npos ? byte : byte - start - 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(std::max<size_t>(column, 1));
}

std::vector<std::string_view> lines_of_text(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    lines.push_back(text.substr(0, end));
    const bool pair = end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n';
    text.remove_prefix(std::min(text.size(), end + (pair ? 2 : 1)));
  }
  return lines;
}

}  // namespace cytodet::core
