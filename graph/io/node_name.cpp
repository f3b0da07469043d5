#include "graph/io/node_name.h"

namespace cytodet::graph {
namespace {

bool is_plain(char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '.'; }

}  // namespace

std::string node_name(std::string_view onnx_name) {
  if (onnx_name.ends_with(":0")) onnx_name.remove_suffix(2);
  while (onnx_name.starts_with('/')) onnx_name.remove_prefix(1);
  std::string name;
  for (char ch : onnx_name) name += is_plain(ch) || ch == '-' || ch == '/' || ch == '_' ? ch : '_';
  if (name.empty()) return "tensor";
  return is_plain(name[0]) ? name : "t" + name;
}

}  // namespace cytodet::graph
