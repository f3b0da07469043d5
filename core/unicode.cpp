#include "core/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <new>

namespace cytodet::core {
namespace {

// Maps what is UTF-8 of the text; other bytes stay where they are.
template <class Map>
std::string map_characters(std::string_view text, Map map) {
  std::string mapped;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (const size_t n = utf8_length(text, end)) end += n;
    if (end > at) mapped += map(text.substr(at, end - at));
    if (end < text.size()) mapped += text[end++];
    at = end;
  }
  return mapped;
}

std::string map_utf8(std::string_view text, int options, utf8proc_custom_func first) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map_custom(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                          &mapped, static_cast<utf8proc_option_t>(options), first, nullptr);
  if (size < 0) throw std::bad_alloc();  // the text is UTF-8: nothing else can fail
  std::string result(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  std::free(mapped);
  return result;
}

// File systems fold names to upper case, texts fold to lower case: both after each other join what either takes for one.
utf8proc_int32_t to_upper(utf8proc_int32_t c, void*) { return utf8proc_toupper(c); }

}  // namespace

size_t utf8_length(std::string_view text, size_t at) {
  if (at >= text.size()) return 0;
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const size_t n = first >= 0xC2 && first <= 0xDF   ? 2
                   : first >= 0xE0 && first <= 0xEF ? 3
                   : first >= 0xF0 && first <= 0xF4 ? 4
                                                    : 0;
  if (n == 0 || at + n > text.size()) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xC0u) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
                     (first == 0xF4 && second > 0x8F);
  return wrong ? 0 : n;
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t n = utf8_length(text, at);
    if (n == 0) return false;
    at += n;
  }
  return true;
}

std::string decomposed(std::string_view text) {
  return map_characters(text, [](std::string_view part) { return map_utf8(part, UTF8PROC_DECOMPOSE, nullptr); });
}

std::string name_key(std::string_view name) {
  constexpr int kFold = UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
  return map_characters(name, [](std::string_view part) { return map_utf8(part, kFold, to_upper); });
}

}  // namespace cytodet::core
