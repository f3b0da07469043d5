// A checkpoint of TensorFlow, version 2: PREFIX.index, a table of what lies where, and the values in PREFIX.data-NNNNN-of-NNNNN.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graph/io/tensorflow/tensor_slices.h"

namespace cytodet::graph {

class Checkpoint {
 public:
  // Reads the index alone. Values are read from their files when they are asked for, each with its checksum.
  explicit Checkpoint(const std::filesystem::path& prefix);
  Checkpoint(const std::filesystem::path& prefix, std::string_view index);  // an index that has been read

  struct Entry {
    DType dtype = DType::invalid;
    Shape shape;
    int shard = 0;
    int64_t offset = 0, size = 0;  // bytes, in the shard's file
    uint32_t masked_crc = 0;
    std::vector<TensorSlice> slices;  // where the tensor is stored in parts; each has an entry of its own
  };
  const Entry* find(const std::string& name) const;  // null: there is none
  std::vector<std::string> names() const;
  const std::filesystem::path& prefix() const { return prefix_; }
  std::string index_path() const { return prefix_.string() + ".index"; }
  std::string shard_path(int shard) const;
  int shards() const { return shards_; }

  // Throws Error that names the file and the tensor: not in the checkpoint, of a type that cannot be held, a missing or short
  // file, bytes that do not have their checksum.
  Tensor read(const std::string& name) const;
  // Whatever slices it is stored in.
  Tensor read(const std::string& name, const SliceRequest& request) const;

  // Checkpoints of objects (TensorFlow 2): the keys by the variables' own names; several where names repeat.
  std::multimap<std::string, std::string> keys_by_variable() const;

 private:
  const Entry& require(const std::string& name) const;
  std::string role() const;  // of its files, for errors
  Tensor read_stored(const std::string& name, const Entry& entry) const;
  Tensor read_parts(const std::string& name, const Entry& entry, const TensorSlice& wanted) const;

  std::filesystem::path prefix_;
  std::map<std::string, Entry> entries_;
  int shards_ = 1;
};

}  // namespace cytodet::graph
