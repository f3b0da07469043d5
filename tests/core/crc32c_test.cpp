#include "core/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace cytodet {
namespace {

uint32_t bit_by_bit(const std::string& bytes) {
  uint32_t r = ~0u;
  for (char c : bytes) {
    r ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) r = (r >> 1) ^ (r & 1 ? 0x82f63b78u : 0);
  }
  return ~r;
}

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(masked_crc(0), 0xa282ead8u);
}

TEST(Crc32c, EveryLengthAndEveryCut) {
  std::string bytes;
  for (int i = 0; i < 70; ++i) bytes += static_cast<char>(i * 37 + 11);
  for (size_t n = 0; n <= bytes.size(); ++n) {
    const std::string part = bytes.substr(0, n);
    EXPECT_EQ(crc32c(part), bit_by_bit(part)) << n;
    EXPECT_EQ(crc32c(std::string_view(bytes).substr(n), crc32c(part)), bit_by_bit(bytes)) << n;
  }
}

}  // namespace
}  // namespace cytodet
