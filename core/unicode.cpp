#include "core/unicode.h"

#include <algorithm>
#include <vector>

#include "core/unicode_tables.h"

namespace cytodet {
namespace {

// A byte that is not UTF-8, among code points: kByte + the byte.
constexpr char32_t kByte = 0x110000;
constexpr char32_t kHangul = 0xAC00, kHangulCount = 11172, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
constexpr char32_t kVowels = 21, kTails = 28;

std::vector<char32_t> points_of(std::string_view text) {
  std::vector<char32_t> points;
  points.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const size_t n = utf8_length(text, at);
    char32_t c = n == 0 ? kByte + byte : n == 1 ? byte : byte & (0x7Fu >> n);
    for (size_t i = 1; i < n; ++i) c = c << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
    points.push_back(c);
    at += std::max<size_t>(n, 1);
  }
  return points;
}

std::string text_of(const std::vector<char32_t>& points) {
  std::string text;
  for (const char32_t c : points) {
    const auto add = [&](char32_t byte) { text.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
    if (c >= kByte || c < 0x80) {
      add(c >= kByte ? c - kByte : c);
    } else {
      const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
      add((0xFF00u >> (more + 1) & 0xFFu) | c >> (6 * more));
      for (int i = more - 1; i >= 0; --i) add(0x80u | (c >> (6 * i) & 0x3Fu));
    }
  }
  return text;
}

template <class Row>
const Row* row_of(const Row* rows, size_t count, char32_t c) {
  const Row* found = std::lower_bound(rows, rows + count, c, [](const Row& r, char32_t v) { return r.from < v; });
  return found != rows + count && found->from == c ? found : nullptr;
}

int combining_class(char32_t c) {
  using unicode::Combining;
  const Combining* end = unicode::kCombining + unicode::kCombiningCount;
  const Combining* found =
      std::lower_bound(unicode::kCombining, end, c, [](const Combining& r, char32_t v) { return r.last < v; });
  return found != end && found->first <= c ? found->of_class : 0;
}

void decompose(char32_t c, std::vector<char32_t>& out) {
  if (c >= kHangul && c < kHangul + kHangulCount) {
    const char32_t i = c - kHangul;
    out.push_back(kLead + i / (kVowels * kTails));
    out.push_back(kVowel + i % (kVowels * kTails) / kTails);
    if (i % kTails) out.push_back(kTail + i % kTails);
  } else if (const auto* row = c < 0x80 ? nullptr : row_of(unicode::kDecompositions, unicode::kDecompositionCount, c)) {
    decompose(row->first, out);
    if (row->second) decompose(row->second, out);
  } else {
    out.push_back(c);
  }
}

// Marks on a letter stand in the order of their classes.
void order_marks(std::vector<char32_t>& points) {
  for (size_t at = 0; at < points.size();) {
    size_t end = at;
    while (end < points.size() && combining_class(points[end])) ++end;
    std::stable_sort(points.begin() + static_cast<long>(at), points.begin() + static_cast<long>(end),
                     [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    at = end + 1;
  }
}

std::vector<char32_t> decomposed_points(std::string_view text) {
  std::vector<char32_t> points;
  for (const char32_t c : points_of(text)) decompose(c, points);
  order_marks(points);
  return points;
}

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_invisible(char32_t c) {
  return c == 0xAD || (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
         (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF;
}

void fold(char32_t c, std::vector<char32_t>& out) {
  if (c < 0x80) {
    out.push_back(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  } else if (const auto* row = row_of(unicode::kFoldings, unicode::kFoldingCount, c)) {
    for (const char32_t to : row->to)
      if (to) out.push_back(to);
  } else if (!is_invisible(c)) {
    out.push_back(c);
  }
}

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

std::string decomposed(std::string_view text) { return is_plain(text) ? std::string(text) : text_of(decomposed_points(text)); }

std::string name_key(std::string_view name) {
  std::vector<char32_t> folded;
  for (const char32_t c : is_plain(name) ? points_of(name) : decomposed_points(name)) fold(c, folded);
  order_marks(folded);
  return text_of(folded);
}

}  // namespace cytodet
