#include "core/crc32c.h"

#include <array>
#include <cstring>

#include "core/cpu.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace cytodet::core {
namespace {

// kTables[0][b]: the remainder of byte b; kTables[k][b]: that of b with k bytes of zeros behind it.
using Tables = std::array<std::array<uint32_t, 256>, 8>;
constexpr Tables make_tables() {
  constexpr uint32_t kReversedPolynomial = 0x82f63b78u;
  Tables t{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t r = b;
    for (int bit = 0; bit < 8; ++bit) r = (r >> 1) ^ (r & 1 ? kReversedPolynomial : 0);
    t[0][b] = r;
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t b = 0; b < 256; ++b) t[k][b] = (t[k - 1][b] >> 8) ^ t[0][t[k - 1][b] & 255];
  return t;
}
constexpr Tables kTables = make_tables();

uint64_t word_at(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// Eight bytes at a time, each looked up in the table of its distance from the end.
uint32_t by_tables(std::string_view bytes, uint32_t state) {
  const char* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    const uint64_t word = word_at(p) ^ state;
    state = 0;
    for (size_t k = 0; k < 8; ++k) state ^= kTables[7 - k][(word >> (8 * k)) & 255];
  }
  for (; n > 0; --n, ++p) state = (state >> 8) ^ kTables[0][(state ^ static_cast<unsigned char>(*p)) & 255];
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t by_instruction(std::string_view bytes, uint32_t state) {
  const char* p = bytes.data();
  size_t n = bytes.size();
  uint64_t wide = state;
  for (; n >= 8; n -= 8, p += 8) wide = _mm_crc32_u64(wide, word_at(p));
  auto narrow = static_cast<uint32_t>(wide);
  for (; n > 0; --n, ++p) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*p));
  return narrow;
}
#else
constexpr auto by_instruction = by_tables;
#endif

}  // namespace

uint32_t crc32c(std::string_view bytes, uint32_t before) {
  // Every processor with AVX2 has the instruction.
  static const auto update =
      select_for_isa<uint32_t (*)(std::string_view, uint32_t)>({{Isa::baseline, by_tables}, {Isa::avx2, by_instruction}});
  return ~update(bytes, ~before);
}

}  // namespace cytodet::core
