// Numbers as protobuf, LevelDB and their like write them.
#pragma once

#include <cstdint>
#include <string>

namespace cytodet::test {

// Seven bits a byte, the lowest first; the top bit says that more follow.
inline std::string varint(uint64_t v) {
  std::string bytes;
  for (; v >= 128; v >>= 7) bytes += static_cast<char>((v & 127) | 128);
  return bytes + static_cast<char>(v);
}

}  // namespace cytodet::test
