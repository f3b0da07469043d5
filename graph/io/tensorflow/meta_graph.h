// Graphs that are not frozen yet: meta graphs (.meta) and the meta graphs of SavedModels.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "graph/ir/graph.h"

namespace cytodet::graph {

// What a SavedModel calls the values of one use of the network.
struct Signature {
  struct Output {
    std::string key;
    std::string tensor;  // "StatefulPartitionedCall:0"; empty where it is composed of several
    DType dtype = DType::invalid;
  };
  std::string name;
  std::vector<Output> outputs;  // by key
};

struct MetaGraph {
  Graph graph;
  std::vector<std::string> tags;
  std::string restore_op;             // the node that restores all variables; empty: none
  std::vector<Signature> signatures;  // by name; without those that only initialize
  std::vector<std::string> assets;    // file names
};

// Binary or text, whichever the content is.
MetaGraph parse_meta_graph(std::string_view bytes, const std::string& where);
MetaGraph read_meta_graph(const std::filesystem::path& path);

// The meta graph of a SavedModel that has exactly these tags. Without tags: its only one, or that of "serve" alone. An Error
// lists the tags of all.
MetaGraph parse_saved_model(std::string_view bytes, const std::string& where, const std::vector<std::string>& tags);
MetaGraph read_saved_model(const std::filesystem::path& file, const std::vector<std::string>& tags);

// The restore node of a file that holds a SaverDef alone.
std::string read_restore_op(const std::filesystem::path& saver);

// saved_model.pb or saved_model.pbtxt of a folder; empty: there is neither.
std::filesystem::path saved_model_file(const std::filesystem::path& folder);

}  // namespace cytodet::graph
