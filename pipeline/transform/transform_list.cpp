#include "pipeline/transform/transform_list.h"

#include <charconv>
#include <cmath>

#include "core/ascii.h"
#include "core/error.h"

namespace cytodet::pipeline {
namespace {

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }
bool is_bare(char c) { return is_word(c) || c == '-' || c == '.' || c == '/'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'; }

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::vector<TransformCall> run() {
    std::vector<TransformCall> calls;
    for (;;) {
      skip(is_blank);
      if (rest_.empty()) return calls;
      TransformCall& call = calls.emplace_back();
      call.name = word(is_word, "Looking for transform name");
      if (take('(')) read_parameters(call);
    }
  }

 private:
  void read_parameters(TransformCall& call) {
    for (;;) {
      if (take(')')) return;
      // An end of the text in a list ends the list.
      take(',');
      skip(is_blank);
      if (take(')')) return;
      std::string name = word(is_word, "Looking for parameter name");
      if (!take('=')) missing("Looking for =");
      call.parameters.emplace_back(std::move(name), take('"') ? quoted() : word(is_bare, "Looking for parameter value"));
      take('"');
      take('\'');
    }
  }

  std::string quoted() {
    std::string value;
    while (!rest_.empty() && rest_.front() != '"') {
      value += rest_.front();
      const bool escapes = rest_.front() == '\\';
      rest_.remove_prefix(1);
      if (!escapes) continue;
      if (rest_.empty()) missing("Looking for the end of a quoted value");
      value += rest_.front();
      rest_.remove_prefix(1);
    }
    if (rest_.empty()) missing("Looking for the end of a quoted value");
    return value;
  }

  template <class Is>
  std::string word(Is is, const char* wanted) {
    std::string found;
    for (; !rest_.empty() && is(rest_.front()); rest_.remove_prefix(1)) found += rest_.front();
    if (found.empty()) missing(wanted);
    return found;
  }
  template <class Is>
  void skip(Is is) {
    while (!rest_.empty() && is(rest_.front())) rest_.remove_prefix(1);
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  [[noreturn]] void missing(const std::string& wanted) const {
    throw Error("", wanted + ", but found " + (rest_.empty() ? "the end" : std::string(rest_.substr(0, 60))));
  }

  std::string_view rest_;
};

std::string where(const TransformCall& call, std::string_view parameter) {
  return call.name + "(" + std::string(parameter) + ")";
}

}  // namespace

std::vector<std::string> TransformCall::all(std::string_view parameter) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : parameters)
    if (key == parameter) values.push_back(value);
  return values;
}

std::string TransformCall::one(std::string_view parameter, const std::string& otherwise) const {
  const std::vector<std::string> values = all(parameter);
  if (values.size() > 1) throw Error(where(*this, parameter), "is given " + std::to_string(values.size()) + " times", "once");
  return values.empty() ? otherwise : values[0];
}

double TransformCall::number(std::string_view parameter, double otherwise) const {
  const std::string text = one(parameter, "");
  if (text.empty()) return otherwise;
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(v))
    throw Error(where(*this, parameter), "is \"" + text + "\", which is no number");
  return v;
}

bool TransformCall::truth(std::string_view parameter, bool otherwise) const {
  const std::string text = lower_ascii(one(parameter, otherwise ? "true" : "false"));
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  throw Error(where(*this, parameter), "should be true or false, found " + text);
}

std::vector<TransformCall> parse_transforms(std::string_view text) { return Reader(text).run(); }

}  // namespace cytodet::pipeline
