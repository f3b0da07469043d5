// Gzip (RFC 1952) unpacked in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

// By its first two bytes.
bool is_gzip(std::string_view bytes);

// The text of one or more members. Throws Error of `where`: damaged, broken off, or more than max_bytes of text, which are never
// held.
std::string gunzip(std::string_view bytes, const std::string& where, int64_t max_bytes);

}  // namespace cytodet::core
