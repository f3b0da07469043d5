// Text in UTF-8: characters, normal forms, and which names file systems take for one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

// Bytes of the character at `at`: 1 to 4; 0 where the bytes are not UTF-8 (overlong, surrogate, cut short, at the end).
size_t utf8_length(std::string_view text, size_t at);
bool is_utf8(std::string_view text);

// The canonical decomposition (NFD): equal for two texts that differ in Unicode normal form alone. Bytes that are not UTF-8 stay.
std::string decomposed(std::string_view text);

// Equal for two names that some file system takes for one: upper and lower case (exFAT, NTFS, SMB, APFS), normal forms and
// invisible characters (HFS+). Bytes that are not UTF-8 stay. It may also be equal for names that every file system keeps apart.
std::string name_key(std::string_view name);

}  // namespace cytodet::core
