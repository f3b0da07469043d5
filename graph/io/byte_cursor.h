// Numbers and texts read off the front of some bytes, as protobuf and the index of a checkpoint write them.
#pragma once

#include <cstdint>
#include <string_view>

namespace cytodet::graph {

// Little-endian, of the first 4 bytes, which must be there.
inline uint32_t fixed32(std::string_view bytes) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4; ++i) v |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return v;
}

// A read answers false, and leaves its result unspecified, where the bytes end too soon.
class ByteCursor {
 public:
  explicit ByteCursor(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }

  // 7 bits a byte, low ones first, at most 10 bytes; the top bit says that another byte follows.
  bool varint(uint64_t& v) {
    v = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto b = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      v |= uint64_t{b & 0x7fu} << shift;
      if (b < 0x80) return true;
    }
    return false;
  }
  bool text(uint64_t n, std::string_view& t) {
    if (n > rest_.size()) return false;
    t = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return true;
  }
  bool skip(uint64_t n) {
    std::string_view skipped;
    return text(n, skipped);
  }

 private:
  std::string_view rest_;
};

}  // namespace cytodet::graph
