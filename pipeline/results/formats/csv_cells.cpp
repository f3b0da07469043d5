#include "pipeline/results/formats/csv_cells.h"

#include <algorithm>
#include <array>

#include "core/ascii.h"
#include "core/text_width.h"

namespace cytodet::pipeline {
namespace {

// What turns the rest into a formula; also in full width, which Japanese and Chinese versions take alike.
constexpr std::array<std::string_view, 10> kFormulaStarts = {"=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"};

// Words that make a date or a time of the digits beside them, by their beginnings of at least three letters: English, German,
// French, Spanish, Italian, Dutch, Portuguese. Spreadsheets in these languages know them.
constexpr std::array<std::string_view, 58> kMonths = {
    "january",   "february",  "march",    "april",      "may",      "june",      "july",      "august",  "september", "october",
    "november",  "december",  "januar",   "februar",    "maerz",    "märz",      "mai",       "juni",    "juli",      "oktober",
    "dezember",  "janvier",   "février",  "fevrier",    "mars",     "avril",     "juin",      "juillet", "août",      "aout",
    "septembre", "octobre",   "novembre", "décembre",   "decembre", "enero",     "febrero",   "marzo",   "abril",     "mayo",
    "junio",     "julio",     "agosto",   "septiembre", "octubre",  "noviembre", "diciembre", "gennaio", "maggio",    "giugno",
    "luglio",    "settembre", "dicembre", "maart",      "augustus", "janeiro",   "dezembro",  "setembro"};
constexpr std::array<std::string_view, 4> kCurrencies = {"€", "£", "¥", "\u00a0"};
constexpr std::string_view kSigns = " .,:/-+()%$'";
constexpr std::array<std::string_view, 4> kHalfDays = {"am", "pm", "a", "p"};
constexpr std::array<std::string_view, 14> kTruths = {"true",  "false", "wahr",       "falsch", "vrai",   "faux",   "verdadero",
                                                      "falso", "vero",  "verdadeiro", "waar",   "onwaar", "prawda", "fałsz"};

template <class Words>
bool is_one_of(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool begins_month(std::string_view word) {
  constexpr size_t kMinLetters = 3;
  return word.size() >= kMinLetters &&
         std::any_of(kMonths.begin(), kMonths.end(), [&](std::string_view month) { return month.starts_with(word); });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; }

// Shown as it is: neither a zero in front nor so many digits that it is shown by its power of ten.
bool is_plain_number(std::string_view text) {
  constexpr size_t kMaxDigits = 11;
  return text.size() <= kMaxDigits && std::all_of(text.begin(), text.end(), is_digit) && (text.size() == 1 || text[0] != '0');
}

// Whether a run of letters from `begin` to `end` may stand in a number, a date or a time: an exponent between digits, a currency,
// a month, am and pm at the end.
bool fits_number_or_date(std::string_view lower, size_t begin, size_t end) {
  const std::string_view word = lower.substr(begin, end - begin);
  if (begins_month(word) || is_one_of(kCurrencies, word)) return true;
  const size_t digits = lower.find_last_not_of(' ', begin == 0 ? std::string_view::npos : begin - 1);
  if (begin == 0 || digits == std::string_view::npos || !is_digit(lower[digits])) return false;
  if (word == "e") return end < lower.size() && (is_digit(lower[end]) || lower[end] == '+' || lower[end] == '-');
  return end == lower.size() && is_one_of(kHalfDays, word);
}

bool is_number_or_date(std::string_view lower) {
  if (is_plain_number(lower) || std::none_of(lower.begin(), lower.end(), is_digit)) return false;
  for (size_t at = 0; at < lower.size();) {
    size_t end = at;
    while (end < lower.size() && is_letter(lower[end])) ++end;
    if (end > at ? !fits_number_or_date(lower, at, end)
                 : !is_digit(lower[at]) && kSigns.find(lower[at]) == std::string_view::npos)
      return false;
    at = std::max(end, at + 1);
  }
  return true;
}

bool is_taken_for_another(const std::string& text) {
  if (text.empty()) return false;
  if (std::any_of(kFormulaStarts.begin(), kFormulaStarts.end(), [&](std::string_view s) { return text.starts_with(s); }))
    return true;
  const size_t first = text.find_first_not_of(" \n\v\f");
  if (first == std::string::npos || first > 0 || text[0] == '#' || text[0] == '\'') return true;
  const std::string lower = lower_ascii(text);
  return is_one_of(kTruths, lower) || is_number_or_date(lower);
}

}  // namespace

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string spreadsheet_text(const std::string& text) { return (is_taken_for_another(text) ? "'" : "") + valid_utf8(text); }

}  // namespace cytodet::pipeline
