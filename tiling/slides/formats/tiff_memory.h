// A TIFF in memory, as libtiff reads and writes it.
#pragma once

#include <tiffio.h>

#include <cstdint>
#include <vector>

namespace cytodet::tiling {

class TiffMemory {
 public:
  TiffMemory() = default;
  explicit TiffMemory(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  TiffMemory(const TiffMemory&) = delete;
  TiffMemory& operator=(const TiffMemory&) = delete;

  // The handle is the caller's, and must be closed before this goes. Null where libtiff fails.
  TIFF* open(const char* mode, TIFFOpenOptions* options);

  const std::vector<uint8_t>& bytes() const { return bytes_; }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  static tmsize_t read(thandle_t user, void* to, tmsize_t n);
  static tmsize_t write(thandle_t user, void* from, tmsize_t n);
  static toff_t seek(thandle_t user, toff_t offset, int whence);
  static int close(thandle_t) { return 0; }
  static toff_t size(thandle_t user);

  std::vector<uint8_t> bytes_;
  uint64_t at_ = 0;
};

}  // namespace cytodet::tiling
