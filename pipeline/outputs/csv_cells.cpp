#include "pipeline/outputs/csv_cells.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "core/text_width.h"

namespace cytodet {
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
constexpr std::array<std::string_view, 4> kHalfDays = {"am", "pm", "a", "p"};
constexpr std::array<std::string_view, 14> kTruths = {"true",  "false", "wahr",       "falsch", "vrai",   "faux",   "verdadero",
                                                      "falso", "vero",  "verdadeiro", "waar",   "onwaar", "prawda", "fałsz"};

std::string lower_case(std::string_view text) {
  std::string lower;
  for (char c : text) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

template <class Words>
bool is_one_of(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool begins_month(std::string_view word) {
  constexpr size_t kLeastLetters = 3;
  return word.size() >= kLeastLetters &&
         std::any_of(kMonths.begin(), kMonths.end(), [&](std::string_view month) { return month.starts_with(word); });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The runs of letters (bytes beyond ASCII count as such) in a text of lower case.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  for (char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
    if (letter && !in_word) words.emplace_back();
    if (letter) words.back() += c;
    in_word = letter;
  }
  return words;
}

// Shown as it is: neither a zero in front nor so many digits that it is shown by its power of ten.
bool is_plain_number(std::string_view text) {
  constexpr size_t kMostDigits = 11;
  return text.size() <= kMostDigits && std::all_of(text.begin(), text.end(), is_digit) && (text.size() == 1 || text[0] != '0');
}

// Digits with signs, blanks, currencies and at most such words as numbers, dates and times have.
bool is_number_or_date(std::string_view lower) {
  if (is_plain_number(lower) || std::none_of(lower.begin(), lower.end(), is_digit)) return false;
  for (const std::string& word : words_of(lower))
    if (word != "e" && word != "€" && word != "£" && word != "¥" && word != "\u00a0" && !begins_month(word) &&
        !is_one_of(kHalfDays, word))
      return false;
  return true;
}

bool is_taken_for_another(const std::string& text) {
  if (text.empty()) return false;
  if (std::any_of(kFormulaStarts.begin(), kFormulaStarts.end(), [&](std::string_view s) { return text.starts_with(s); }))
    return true;
  const size_t first = text.find_first_not_of(" \n\v\f");
  if (first == std::string::npos || first > 0 || text[0] == '#' || text[0] == '\'') return true;
  const std::string lower = lower_case(text);
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

}  // namespace cytodet
