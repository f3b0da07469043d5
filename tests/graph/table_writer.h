// Tables as TensorFlow writes the .index of a checkpoint: one block of entries, without shared prefixes, with their checksums.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/crc32c.h"
#include "tests/graph/varint.h"

namespace cytodet::test {

inline std::string fixed32(uint32_t v) {
  std::string s;
  for (int i = 0; i < 4; ++i) s += static_cast<char>(v >> (8 * i));
  return s;
}

inline std::string block_with_trailer(std::string block, char compression = 0) {
  block += fixed32(0) + fixed32(1) + compression;
  return block + fixed32(masked_crc(crc32c(block)));
}

inline std::string table_of(const std::vector<std::pair<std::string, std::string>>& entries, char compression = 0) {
  std::string block;
  for (const auto& [key, value] : entries) block += varint(0) + varint(key.size()) + varint(value.size()) + key + value;
  const std::string data = block_with_trailer(block, compression);
  const std::string handle = varint(0) + varint(data.size() - 5);
  const std::string index = block_with_trailer(varint(0) + varint(1) + varint(handle.size()) + "z" + handle);
  std::string footer = handle + varint(data.size()) + varint(index.size() - 5);
  footer.resize(40, '\0');
  return data + index + footer + "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
}

}  // namespace cytodet::test
