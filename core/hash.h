// FNV-1a over 64 bits (Fowler, Noll, Vo): distinguishes files and settings; not for secrets. Stable: its values are kept in
// files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

class Fnv1a {
 public:
  void bytes(const void* data, size_t n) {
    const auto* p = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < n; ++i) state_ = (state_ ^ p[i]) * 0x100000001b3u;
  }
  uint64_t value() const { return state_; }
  // 16 hexadecimal digits.
  std::string text() const {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(state_));
    return digits;
  }

 private:
  uint64_t state_ = 0xcbf29ce484222325u;
};

class Hash {
 public:
  // Bytes preceded by their number, 8 bytes of it, little-endian, so that no two lists of parts give the same value.
  Hash& add(std::string_view part) {
    unsigned char length[8];
    for (int i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(static_cast<uint64_t>(part.size()) >> (8 * i));
    hash_.bytes(length, sizeof length);
    hash_.bytes(part.data(), part.size());
    return *this;
  }
  // 16 hexadecimal digits.
  std::string text() const { return hash_.text(); }

 private:
  Fnv1a hash_;
};

}  // namespace cytodet::core
