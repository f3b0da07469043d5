#include "core/json_edit.h"

#include <optional>

#include "core/error.h"
#include "core/settings.h"
#include "core/text_decode.h"

namespace cytodet::core {
namespace {

struct Span {
  size_t begin = 0, end = 0;
};

// Walks through the text of a valid JSON object.
class ObjectText {
 public:
  explicit ObjectText(std::string_view text) : text_(text) {}

  // The value of the last member of this name; `last`: the end of the last value, or of the opening brace.
  std::optional<Span> find(const std::string& key, size_t& last) {
    std::optional<Span> found;
    at_ = text_.find('{') + 1;
    last = at_;
    for (skip_blanks(); text_[at_] != '}'; skip_blanks()) {
      const size_t name = at_;
      skip_text();
      const bool same = Json::parse(text_.substr(name, at_ - name)).get<std::string>() == key;
      skip_blanks();
      ++at_;  // the colon
      skip_blanks();
      const size_t begin = at_;
      skip_value();
      last = at_;
      if (same) found = Span{begin, at_};
      skip_blanks();
      if (text_[at_] == ',') ++at_;
    }
    return found;
  }

 private:
  void skip_blanks() { at_ = text_.find_first_not_of(" \t\r\n", at_); }
  void skip_text() {
    for (++at_; text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    ++at_;
  }
  void skip_value() {
    int depth = 0;
    do {
      const char c = text_[at_];
      if (c == '"') {
        skip_text();
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      if (depth == 0 && c != '}' && c != ']') {
        at_ = text_.find_first_of(",]} \t\r\n", at_);
        continue;
      }
      ++at_;
    } while (depth > 0);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string with_json_key(std::string_view bytes, std::string_view key, std::string_view value, const std::string& where) {
  if (!parse_json(bytes, where).is_object()) throw Error(where, "is no JSON object", "name a model file");
  const std::string text = decode_text(std::string(bytes), where);
  if (!Json::accept(text)) throw Error(where, "holds what is no JSON, such as NaN", "mend it, then set the key again");
  size_t last = 0;
  std::string all = text;
  const std::optional<Span> old = ObjectText(text).find(std::string(key), last);
  if (old) return all.replace(old->begin, old->end - old->begin, value);
  const bool empty = text.find_first_not_of(" \t\r\n", last) == text.find('}', last) && text[last - 1] == '{';
  const size_t close = text.find('}', last);
  const bool own_line = std::string_view(text).substr(last, close - last).find('\n') != std::string_view::npos;
  return all.insert(last, std::string(empty ? "\n  " : ",\n  ") + Json(std::string(key)).dump() + ": " + std::string(value) +
                              (own_line ? "" : "\n"));
}

}  // namespace cytodet::core
