// Zip archives (PKWARE's APPNOTE 6.3) read in memory: stored and deflated entries of archives of one part, without encryption.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/namespaces.h"

namespace cytodet::core {

struct ZipEntry {
  std::string name;  // with its folders, parted by slashes
  uint64_t packed = 0, size = 0, offset = 0;
  uint32_t crc = 0;
  uint16_t method = 0, flags = 0;
};

// By its first four bytes; an empty archive too.
bool is_zip(std::string_view bytes);

class ZipArchive {
 public:
  // Reads the directory. Throws Error of `where`: damaged, cut, in several parts, or of over 100,000 entries.
  ZipArchive(std::string bytes, std::string where);
  const std::vector<ZipEntry>& entries() const { return entries_; }
  // Throws Error that names archive and entry: damaged, encrypted, packed by an unknown method, or over max_bytes, which are
  // never held.
  std::string read(const ZipEntry& entry, int64_t max_bytes) const;

 private:
  std::string bytes_, where_;
  std::vector<ZipEntry> entries_;
};

}  // namespace cytodet::core
