// TFRecord files and image examples for tests, by a few lines of their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/crc32c.h"
#include "tests/graph/varint.h"

namespace cytodet::test {

inline std::string little_endian(uint64_t v, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(v >> (8 * i));
  return text;
}

inline std::string record(std::string_view data) {
  const std::string length = little_endian(data.size(), 8);
  return length + little_endian(masked_crc(crc32c(length)), 4) + std::string(data) + little_endian(masked_crc(crc32c(data)), 4);
}

// A protobuf field of bytes.
inline std::string field_of(int number, std::string_view bytes) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

// `list`: number of Feature's kind, 1 bytes, 3 int64; value: the list's own field.
inline std::string feature(std::string_view key, int list, std::string_view value) {
  return field_of(1, field_of(1, key) + field_of(2, field_of(list, value)));
}
inline std::string image_example(std::string_view encoded, int64_t label, bool packed = true) {
  const std::string number = varint(static_cast<uint64_t>(label));
  const std::string labels = packed ? field_of(1, number) : varint(1 << 3) + number;
  return field_of(1, feature("image/encoded", 1, field_of(1, encoded)) + feature("image/class/label", 3, labels));
}

}  // namespace cytodet::test
