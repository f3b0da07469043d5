#include "fuzz/driver.h"
#include "graph/io/tensorflow/checkpoint.h"
#include "tests/graph/table_writer.h"
#include "tests/paths.h"

namespace {
const std::string kSaved = cytodet::source_dir() + "/tests/data/graph/saved/";
}

std::vector<std::string> fuzz_seeds() {
  return {cytodet::source_dir() + "/tests/data/fuzz/checkpoint", kSaved + "types/all.ckpt.index",
          kSaved + "slices/parts.ckpt.index"};
}

// "T" and entries (a byte each for the lengths of key and value, then both): their table, with good checksums. Anything else: an
// index as it is. The values lie in the files that TensorFlow wrote.
void fuzz_one(std::string_view bytes) {
  cytodet::set_max_tensor_bytes(int64_t{64} << 20);
  std::string index(bytes);
  if (bytes.starts_with("T")) {
    std::vector<std::pair<std::string, std::string>> entries;
    for (size_t at = 1; at + 2 <= bytes.size();) {
      const size_t key = static_cast<unsigned char>(bytes[at]), value = static_cast<unsigned char>(bytes[at + 1]);
      at = std::min(at + 2, bytes.size());
      entries.emplace_back(bytes.substr(at, key), bytes.substr(std::min(at + key, bytes.size()), value));
      at += key + value;
    }
    index = cytodet::test::table_of(entries);
  }
  for (const char* prefix : {"types/all.ckpt", "slices/parts.ckpt"}) {
    const cytodet::Checkpoint checkpoint(kSaved + prefix, index);
    for (const std::string& name : checkpoint.names()) try {
        checkpoint.read(name);
        checkpoint.read(name, {checkpoint.find(name)->shape, cytodet::TensorSlice(checkpoint.find(name)->shape.size(), {0, 1})});
      } catch (const cytodet::Error&) {
      }
    checkpoint.keys_by_variable();
  }
}
