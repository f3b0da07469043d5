#include "tiling/slides/formats/tiff_memory.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace cytodet::tiling {

TIFF* TiffMemory::open(const char* mode, TIFFOpenOptions* options) {
  at_ = 0;
  return TIFFClientOpenExt("memory", mode, this, read, write, seek, close, size, nullptr, nullptr, options);
}

tmsize_t TiffMemory::read(thandle_t user, void* to, tmsize_t n) {
  auto* m = static_cast<TiffMemory*>(user);
  if (n <= 0 || m->at_ >= m->bytes_.size()) return 0;
  const size_t count = std::min(static_cast<size_t>(n), m->bytes_.size() - static_cast<size_t>(m->at_));
  std::memcpy(to, m->bytes_.data() + m->at_, count);
  m->at_ += count;
  return static_cast<tmsize_t>(count);
}

tmsize_t TiffMemory::write(thandle_t user, void* from, tmsize_t n) {
  auto* m = static_cast<TiffMemory*>(user);
  if (n <= 0) return 0;
  const size_t end = static_cast<size_t>(m->at_) + static_cast<size_t>(n);
  if (end > m->bytes_.size()) m->bytes_.resize(end);
  std::memcpy(m->bytes_.data() + m->at_, from, static_cast<size_t>(n));
  m->at_ = end;
  return n;
}

toff_t TiffMemory::seek(thandle_t user, toff_t offset, int whence) {
  auto* m = static_cast<TiffMemory*>(user);
  m->at_ = whence == SEEK_CUR ? m->at_ + offset : whence == SEEK_END ? m->bytes_.size() + offset : offset;
  return m->at_;
}

toff_t TiffMemory::size(thandle_t user) { return static_cast<TiffMemory*>(user)->bytes_.size(); }

}  // namespace cytodet::tiling
