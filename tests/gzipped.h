// Gzip as zlib writes it.
#pragma once

#include <zlib.h>

#include <string>

namespace cytodet {

inline std::string gzipped(const std::string& text) {
  z_stream s{};
  constexpr int kGzipWindow = 15 + 16;
  deflateInit2(&s, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipWindow, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&s, text.size()), '\0');
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  s.avail_in = static_cast<uInt>(text.size());
  s.next_out = reinterpret_cast<Bytef*>(out.data());
  s.avail_out = static_cast<uInt>(out.size());
  deflate(&s, Z_FINISH);
  out.resize(s.total_out);
  deflateEnd(&s);
  return out;
}

}  // namespace cytodet
