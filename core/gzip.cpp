#include "core/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "core/error.h"

namespace cytodet::core {
namespace {

struct Inflate {
  z_stream stream{};
  Inflate() {
    constexpr int kGzipWindow = 15 + 16;
    if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw Error("gzip", "cannot start", "free some memory");
  }
  ~Inflate() { inflateEnd(&stream); }
  Inflate(const Inflate&) = delete;
};

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

std::string gunzip(std::string_view bytes, const std::string& where, int64_t max_bytes) {
  Inflate inflated;
  z_stream& s = inflated.stream;
  std::string text, piece(size_t{1} << 16, '\0');
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  size_t left = bytes.size();  // beyond what the stream has been given
  for (int state = Z_OK; state != Z_STREAM_END || s.avail_in > 0 || left > 0;) {
    if (state == Z_STREAM_END) inflateReset(&s);
    if (s.avail_in == 0) {
      s.avail_in = static_cast<uInt>(std::min<size_t>(left, std::numeric_limits<uInt>::max()));
      left -= s.avail_in;
    }
    s.next_out = reinterpret_cast<Bytef*>(piece.data());
    s.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&s, Z_NO_FLUSH);
    if (state == Z_BUF_ERROR) throw Error(where, "damaged gzip: it breaks off", "restore the file");
    if (state != Z_OK && state != Z_STREAM_END)
      throw Error(where, std::string("damaged gzip: ") + (s.msg ? s.msg : "not unpacked"), "restore the file");
    const size_t made = piece.size() - s.avail_out;
    if (made > static_cast<uint64_t>(max_bytes) - text.size())
      throw Error(where, "unpacks to more than the limit of " + std::to_string(max_bytes) + " bytes");
    text.append(piece, 0, made);
  }
  return text;
}

}  // namespace cytodet::core
