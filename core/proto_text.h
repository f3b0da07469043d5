// The text form of protocol buffers without a schema: a tree of names, scalars and messages. "key { .. }" and "key : { .. }" are
// one; "#" begins a comment; separators "," and ";" between fields are allowed; adjoining strings are one. protobuf's own reader,
// TextFormat, would want schemas that AMCT has published in part only, and gives no line of a value that is well-formed but
// impossible.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

struct ProtoField {
  std::string name;
  int line = 1;
  bool is_message = false, is_string = false;  // neither: a number or a word
  std::string scalar;                          // without quotes, escapes resolved
  std::vector<ProtoField> fields;              // of a message

  // The value as such a type. Each throws Error with the field's line and name where it is of another type.
  double number() const;    // finite
  int64_t integer() const;  // within int32
  bool boolean() const;     // true, false, 1, 0
  const std::string& text() const;
  const std::vector<ProtoField>& message() const;
  // Throws Error unless the field is one of these, with the nearest.
  void require_known(const std::vector<std::string>& names) const;
  std::string where() const;  // "line 3: scale_d"
};

// The fields of a text. Throws Error with the line: bad syntax, more than 32 messages in each other, more than 10 million fields.
std::vector<ProtoField> parse_proto_text(std::string_view text);

}  // namespace cytodet::core
