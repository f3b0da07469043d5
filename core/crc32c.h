// CRC-32C (Castagnoli): the checksum of TensorFlow's checkpoints and record files.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

// CRC-32C (Castagnoli) of `bytes` behind those that gave `before`: crc32c("b", crc32c("a")) == crc32c("ab"). crc32c("123456789")
// is 0xe3069283.
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

// The form in which such files store a checksum, so that the checksum of bytes that hold checksums stays a good one.
constexpr uint32_t masked_crc(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

}  // namespace cytodet::core
