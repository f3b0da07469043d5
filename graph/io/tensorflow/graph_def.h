// Reading and writing frozen GraphDefs. The only place, with the other files of graph/io/tensorflow, that knows protobuf.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// Binary .pb or text .pbtxt, whichever the content is. Every attribute, control edge, device, library function, version and
// unknown op survives read + write. Errors name the file and, where there is one, the node: missing or dangling inputs,
// duplicate names, constants whose shape does not fit their data or exceeds the limit, truncated bytes.
Graph parse_graph(std::string_view bytes, const std::string& where);

// Text when the file name ends in .pbtxt, else binary; written aside, then renamed. Deterministic bytes.
void write_graph(const Graph& graph, const std::filesystem::path& path);
std::string encode_graph(const Graph& graph);       // binary
std::string encode_graph_text(const Graph& graph);  // text

// What write_graph(graph, path) writes.
std::string encode_as(const Graph& graph, const std::filesystem::path& path);

// For whom functions are inlined. TensorFlow runs some of them compiled alone (_XlaMustCompile): their convolutions of several
// groups become one convolution per group, and where other ops have no kernel but the compiled one, the call stays.
enum class InlineFor { running_here, tensorflow };

// Replaces every call of a library function (by op name, PartitionedCall, StatefulPartitionedCall) with the function's
// body, named "<call>/<inner>", and lowers If, Case and While; recursive calls are an Error. The library keeps what is still
// called. Returns the number of calls replaced.
int inline_functions(Graph& graph, InlineFor purpose = InlineFor::running_here);

// How often each op stands in the bodies of the library's functions.
std::map<std::string, int> ops_in_functions(const Graph& graph);

}  // namespace cytodet::graph
