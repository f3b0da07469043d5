// The list of transforms on the command line of TensorFlow's transform_graph:
//
//   LIST  = { blanks NAME [ "(" { [","] blanks NAME "=" VALUE } ")" ] }
//   NAME  = letters, digits, _
//   VALUE = "..." (a backslash takes the next character as it is) | letters, digits, - . / _      then [ " ] [ ' ]
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cytodet::pipeline {

struct TransformCall {
  std::string name;
  // In the order of the text; a name may stand there several times.
  std::vector<std::pair<std::string, std::string>> parameters;

  std::vector<std::string> all(std::string_view parameter) const;
  // The only value, or `otherwise`; throws Error where there are several.
  std::string one(std::string_view parameter, const std::string& otherwise) const;
  double number(std::string_view parameter, double otherwise) const;  // throws Error where it is none
  bool truth(std::string_view parameter, bool otherwise) const;       // true or false; throws Error for other words
};

// Throws Error in the words of the source tool: what was looked for, and what is there.
std::vector<TransformCall> parse_transforms(std::string_view text);

}  // namespace cytodet::pipeline
