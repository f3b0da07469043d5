// FNV-1a over 64 bits: tells files and settings apart; not for secrets.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

class Hash {
 public:
  // Bytes preceded by their number, so that no two lists of parts give the same value.
  Hash& add(std::string_view part) {
    const auto n = static_cast<uint64_t>(part.size());
    for (int i = 0; i < 8; ++i) byte(static_cast<unsigned char>(n >> (8 * i)));
    for (char c : part) byte(static_cast<unsigned char>(c));
    return *this;
  }
  // 16 hexadecimal digits.
  std::string text() const {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(state_));
    return digits;
  }

 private:
  void byte(unsigned char b) { state_ = (state_ ^ b) * 0x100000001b3u; }
  uint64_t state_ = 0xcbf29ce484222325u;
};

}  // namespace cytodet::core
