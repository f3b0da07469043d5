#include "core/json_repair.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/ascii.h"

namespace cytodet::core {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_token(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' || c == '.' || c == '#';
}

// Words by which programs write a number that has no value: Python, Java, C's printf, and the C library of Windows.
bool says_not_finite(std::string_view token) {
  if (token.starts_with('-') || token.starts_with('+')) token.remove_prefix(1);
  const std::string lower = lower_ascii(token);
  if (lower.starts_with("1.#")) return true;
  return lower == "nan" || lower == "inf" || lower == "infinity" || lower == "snan" || lower == "qnan";
}

bool is_too_large(std::string_view token) {
  if (token.find_first_of("eE") == std::string_view::npos && token.size() < 300) return false;
  double value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (end != token.data() + token.size() || error != std::errc::result_out_of_range) return false;
  const size_t e = token.find_first_of("eE");
  return e == std::string_view::npos || token.substr(e + 1, 1) != "-";
}

bool is_long_integer(std::string_view token) {
  if (token.starts_with('-')) token.remove_prefix(1);
  return token.size() > 18 && std::all_of(token.begin(), token.end(), is_digit);
}

// What stands for the token in strict JSON; empty: the token stays.
std::string replacement(std::string_view token) {
  if (says_not_finite(token) || is_too_large(token)) return "{\"not finite\":\"" + std::string(token.substr(0, 16)) + "\"}";
  if (is_long_integer(token)) return std::string(token) + "e0";
  return {};
}

size_t end_of_string(std::string_view text, size_t i) {
  for (++i; i < text.size() && text[i] != '"'; ++i)
    if (text[i] == '\\') ++i;
  return std::min(i + 1, text.size());
}

}  // namespace

size_t RepairedJson::original(size_t byte) const {
  const auto after = std::upper_bound(edits.begin(), edits.end(), byte, [](size_t b, const auto& e) { return b < e.first; });
  if (after == edits.begin()) return byte;
  const auto& [here, there] = *std::prev(after);
  return byte - here + there;
}

std::optional<RepairedJson> repair_json(std::string_view text) {
  RepairedJson r;
  size_t copied = 0;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      i = end_of_string(text, i);
      continue;
    }
    if (!is_token(text[i])) {
      ++i;
      continue;
    }
    const size_t start = i;
    while (i < text.size() && is_token(text[i])) ++i;
    // C's printf on Windows: nan(ind)
    if (i < text.size() && text[i] == '(') i = std::min(text.find(')', i), text.size() - 1) + 1;
    const std::string_view token = text.substr(start, i - start);
    const std::string instead = replacement(token.substr(0, token.find('(')));
    if (instead.empty()) continue;
    r.text.append(text, copied, start - copied).append(instead);
    copied = i;
    r.edits.emplace_back(r.text.size(), i);
  }
  if (r.edits.empty()) return {};
  r.text.append(text, copied);
  return r;
}

}  // namespace cytodet::core
