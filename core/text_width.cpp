#include "core/text_width.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "core/unicode.h"

namespace cytodet::core {
namespace {

// C0, C1, line and paragraph separators, and what turns the direction of writing, so that a name looks like another.
bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

// A character as it is shown, and its columns.
struct Shown {
  std::string text;
  size_t columns = 0;
};

Shown escaped(const char* form, unsigned value) {
  char text[16];
  const int n = std::snprintf(text, sizeof text, form, value);
  return {text, static_cast<size_t>(n)};
}

// The character at `at`, which is moved behind it.
Shown next(std::string_view text, size_t& at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  const size_t n = utf8_length(text, at);
  if (n == 0) {
    ++at;
    return escaped("\\x%02x", byte);
  }
  char32_t c = n == 1 ? byte : byte & (0x7Fu >> n);
  for (size_t i = 1; i < n; ++i) c = c << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
  const std::string_view whole = text.substr(at, n);
  at += n;
  if (c == '\n') return {"\\n", 2};
  if (c == '\r') return {"\\r", 2};
  if (c == '\t') return {"\\t", 2};
  if (is_control(c)) return c < 0x100 ? escaped("\\x%02x", c) : escaped("\\u%04x", c);
  if (c < 0x300) return {std::string(whole), 1};
  return {std::string(whole), static_cast<size_t>(std::max(0, utf8proc_charwidth(static_cast<utf8proc_int32_t>(c))))};
}

std::string blanks(std::string_view shown, size_t columns) {
  const size_t width = display_width(shown);
  return std::string(columns > width ? columns - width : 0, ' ');
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (size_t at = 0; at < text.size();) shown += next(text, at).text;
  return shown;
}

std::string printable_lines(std::string_view text) {
  std::string shown;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    shown += printable(text.substr(at, end - at));
    if (end < text.size()) shown += '\n';
    at = end + 1;
  }
  return shown;
}

std::string valid_utf8(std::string_view text) {
  std::string valid;
  for (size_t at = 0; at < text.size();) {
    const size_t n = utf8_length(text, at);
    if (n > 0)
      valid.append(text, at, n);
    else
      valid += escaped("\\x%02x", static_cast<unsigned char>(text[at])).text;
    at += std::max<size_t>(n, 1);
  }
  return valid;
}

size_t display_width(std::string_view text) {
  size_t columns = 0;
  for (size_t at = 0; at < text.size();) columns += next(text, at).columns;
  return columns;
}

std::string cut_to_width(std::string_view text, size_t columns) {
  if (display_width(text) <= columns) return printable(text);
  if (columns == 0) return {};
  std::string shown;
  size_t used = 0;
  for (size_t at = 0; at < text.size();) {
    const Shown c = next(text, at);
    if (used + c.columns > columns - 1) break;
    shown += c.text;
    used += c.columns;
  }
  return shown + "…";
}

std::string left_aligned(std::string_view text, size_t columns) {
  const std::string shown = cut_to_width(text, columns);
  return shown + blanks(shown, columns);
}

std::string right_aligned(std::string_view text, size_t columns) {
  const std::string shown = cut_to_width(text, columns);
  return blanks(shown, columns) + shown;
}

}  // namespace cytodet::core
