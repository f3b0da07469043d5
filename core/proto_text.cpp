#include "core/proto_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/error.h"
#include "core/suggest.h"

namespace cytodet::core {
namespace {

constexpr int kDeepest = 32;
constexpr size_t kMaxFields = 10'000'000;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' ||
         c == '+';
}

class ProtoReader {
 public:
  explicit ProtoReader(std::string_view text) : text_(text) {}

  std::vector<ProtoField> all() {
    std::vector<ProtoField> fields = message(0);
    if (at_ < text_.size()) wrong(std::string("has \"") + text_[at_] + "\" where a field is due");
    return fields;
  }

 private:
  [[noreturn]] void wrong(const std::string& what) const { throw Error("line " + std::to_string(line_), what); }

  void skip() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
      } else if (c == '\n') {
        ++line_;
      } else if (c != ' ' && c != '\t' && c != '\r') {
        return;
      }
    }
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  char next() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  std::string word() {
    skip();
    const size_t from = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return std::string(text_.substr(from, at_ - from));
  }

  std::string quoted() {
    std::string out;
    for (char quote = next(); quote == '"' || quote == '\''; quote = next()) {
      for (++at_;; ++at_) {
        if (at_ >= text_.size() || text_[at_] == '\n') wrong("has a string without end");
        if (text_[at_] == quote) break;
        if (text_[at_] != '\\') {
          out += text_[at_];
          continue;
        }
        if (++at_ >= text_.size()) wrong("has a string without end");
        out += escaped();
      }
      ++at_;
    }
    return out;
  }
  char escaped() {
    const char c = text_[at_];
    if (c == 'n') return '\n';
    if (c == 't') return '\t';
    if (c == 'r') return '\r';
    if (c < '0' || c > '7') return c;
    int value = 0;
    size_t digits = 0;
    for (; digits < 3 && at_ + digits < text_.size() && text_[at_ + digits] >= '0' && text_[at_ + digits] <= '7'; ++digits)
      value = value * 8 + (text_[at_ + digits] - '0');
    at_ += digits - 1;
    return static_cast<char>(value);
  }

  std::vector<ProtoField> message(int depth) {
    if (depth > kDeepest) wrong("has more than " + std::to_string(kDeepest) + " messages in each other");
    std::vector<ProtoField> fields;
    for (char c = next(); c != '\0' && c != '}' && c != '>'; c = next()) {
      if (!is_word(c)) return fields;
      if (++count_ > kMaxFields) wrong("has more than " + std::to_string(kMaxFields) + " fields");
      ProtoField f;
      f.line = line_;
      f.name = word();
      const bool colon = take(':');
      if (take('[')) {
        list(f, fields, depth);
      } else {
        value(f, colon, depth);
        fields.push_back(std::move(f));
      }
      if (!take(',')) take(';');
    }
    return fields;
  }

  // key: [a, b] is key: a key: b.
  void list(ProtoField& f, std::vector<ProtoField>& fields, int depth) {
    for (bool first = true; !take(']'); first = false) {
      if (!first && !take(',')) wrong("has a list without end");
      if (++count_ > kMaxFields) wrong("has more than " + std::to_string(kMaxFields) + " fields");
      ProtoField element = f;
      value(element, true, depth);
      fields.push_back(std::move(element));
    }
  }

  void value(ProtoField& f, bool colon, int depth) {
    const char open = next();
    if (open == '{' || open == '<') {
      ++at_;
      f.is_message = true;
      f.fields = message(depth + 1);
      if (!take(open == '{' ? '}' : '>')) wrong(f.name + " has no end");
      return;
    }
    if (!colon) wrong("has no \":\" or \"{\" behind " + f.name);
    if (open == '"' || open == '\'') {
      f.is_string = true;
      f.scalar = quoted();
      return;
    }
    f.scalar = word();
    if (f.scalar.empty()) wrong(f.name + " has no value");
  }

  std::string_view text_;
  size_t at_ = 0, count_ = 0;
  int line_ = 1;
};

}  // namespace

std::string ProtoField::where() const { return "line " + std::to_string(line) + ": " + name; }

double ProtoField::number() const {
  double v = 0;
  std::string_view digits = scalar;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const bool is_float = digits.size() > 1 && (digits.back() == 'f' || digits.back() == 'F');  // 1.5f; but inf
  if (is_float && (digits[digits.size() - 2] == '.' || (digits[digits.size() - 2] >= '0' && digits[digits.size() - 2] <= '9')))
    digits.remove_suffix(1);
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), v);
  if (is_message || is_string || problem != std::errc() || end != digits.data() + digits.size())
    throw Error(where(), is_message ? "must be a number" : "is \"" + scalar + "\", which is no number");
  if (!std::isfinite(v)) throw Error(where(), "is " + scalar + ", which is not finite");
  return v;
}

int64_t ProtoField::integer() const {
  int64_t v = 0;
  const auto [end, problem] = std::from_chars(scalar.data(), scalar.data() + scalar.size(), v);
  if (is_message || is_string || problem != std::errc() || end != scalar.data() + scalar.size() ||
      v < std::numeric_limits<int32_t>::min() || v > std::numeric_limits<int32_t>::max())
    throw Error(where(), is_message ? "must be a whole number" : "is \"" + scalar + "\", which is no whole number");
  return v;
}

bool ProtoField::boolean() const {
  if (!is_message && !is_string) {
    if (scalar == "true" || scalar == "1" || scalar == "True" || scalar == "t") return true;
    if (scalar == "false" || scalar == "0" || scalar == "False" || scalar == "f") return false;
  }
  throw Error(where(), is_message ? "must be true or false" : "is \"" + scalar + "\"", "true or false");
}

const std::string& ProtoField::text() const {
  if (!is_string) throw Error(where(), "must be a text in quotes");
  return scalar;
}

const std::vector<ProtoField>& ProtoField::message() const {
  if (!is_message) throw Error(where(), "must be a message in { }");
  return fields;
}

void ProtoField::require_known(const std::vector<std::string>& names) const {
  if (std::find(names.begin(), names.end(), name) == names.end())
    throw Error(where(), "is not a known field", suggest(name, names));
}

std::vector<ProtoField> parse_proto_text(std::string_view text) { return ProtoReader(text).all(); }

}  // namespace cytodet::core
