#include "core/zip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "core/error.h"

namespace cytodet::core {
namespace {

constexpr size_t kEndBytes = 22, kEntryBytes = 46, kLocalBytes = 30, kMaxEntries = 100'000, kMaxComment = 65535;
constexpr uint16_t kStored = 0, kDeflated = 8, kEncrypted = 1;

// Little-endian number of N bytes; the caller has checked that they are there.
template <size_t N>
uint32_t number(std::string_view bytes, size_t at) {
  uint32_t v = 0;
  for (size_t i = 0; i < N; ++i) v |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return v;
}

struct RawInflate {
  z_stream stream{};
  RawInflate() {
    constexpr int kNoHeader = -15;
    if (inflateInit2(&stream, kNoHeader) != Z_OK) throw Error("zip", "cannot start", "free some memory");
  }
  ~RawInflate() { inflateEnd(&stream); }
  RawInflate(const RawInflate&) = delete;
};

// At most `size` bytes are made, which the caller has bounded. False: damaged, or of another size.
bool inflate_to(std::string_view packed, uint64_t size, std::string& text) {
  RawInflate inflated;
  z_stream& s = inflated.stream;
  std::string piece(size_t{1} << 16, '\0');
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  s.avail_in = static_cast<uInt>(packed.size());
  for (int state = Z_OK; state != Z_STREAM_END;) {
    s.next_out = reinterpret_cast<Bytef*>(piece.data());
    s.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&s, Z_NO_FLUSH);
    if (state != Z_OK && state != Z_STREAM_END) return false;
    const size_t made = piece.size() - s.avail_out;
    if (made > size - text.size()) return false;
    text.append(piece, 0, made);
  }
  return text.size() == size;
}

// Offset of the end record, which a comment may follow; npos: none.
size_t find_end(std::string_view bytes) {
  if (bytes.size() < kEndBytes) return std::string_view::npos;
  const size_t last = bytes.size() - kEndBytes, first = last - std::min(last, kMaxComment);
  for (size_t at = last + 1; at-- > first;)
    if (bytes.substr(at, 4) == "PK\5\6" && at + kEndBytes + number<2>(bytes, at + 20) <= bytes.size()) return at;
  return std::string_view::npos;
}

}  // namespace

bool is_zip(std::string_view bytes) { return bytes.starts_with("PK\3\4") || bytes.starts_with("PK\5\6"); }

ZipArchive::ZipArchive(std::string bytes, std::string where) : bytes_(std::move(bytes)), where_(std::move(where)) {
  const auto damaged = [&](const char* what) {
    throw Error(where_, std::string("damaged zip archive: ") + what, "restore the file");
  };
  const std::string_view b = bytes_;
  const size_t end = find_end(b);
  if (end == std::string_view::npos) damaged("it has no directory");
  const size_t count = number<2>(b, end + 10), at = number<4>(b, end + 16);
  if (number<2>(b, end + 4) != 0 || number<2>(b, end + 8) != count)
    throw Error(where_, "is a part of a zip archive of several", "join the parts");
  if (count == 0xffff || at == 0xffffffff)
    throw Error(where_, "is a zip archive of the 64-bit form, which is not read", "unpack it");
  if (count > kMaxEntries) throw Error(where_, "holds over 100000 files", "unpack it");
  size_t next = at;
  for (size_t i = 0; i < count; ++i) {
    if (next > end || end - next < kEntryBytes || b.substr(next, 4) != "PK\1\2") damaged("its directory is cut");
    const size_t name = number<2>(b, next + 28), rest = size_t{number<2>(b, next + 30)} + number<2>(b, next + 32);
    if (end - next - kEntryBytes < name + rest) damaged("its directory is cut");
    ZipEntry e;
    e.name = std::string(b.substr(next + kEntryBytes, name));
    std::replace(e.name.begin(), e.name.end(), '\\', '/');
    e.flags = static_cast<uint16_t>(number<2>(b, next + 8));
    e.method = static_cast<uint16_t>(number<2>(b, next + 10));
    e.crc = number<4>(b, next + 16);
    e.packed = number<4>(b, next + 20);
    e.size = number<4>(b, next + 24);
    e.offset = number<4>(b, next + 42);
    entries_.push_back(std::move(e));
    next += kEntryBytes + name + rest;
  }
}

std::string ZipArchive::read(const ZipEntry& e, int64_t max_bytes) const {
  const std::string where = where_ + ": " + e.name;
  if (e.flags & kEncrypted) throw Error(where, "is encrypted", "unpack the archive");
  if (e.method != kStored && e.method != kDeflated)
    throw Error(where, "is packed by method " + std::to_string(e.method) + ", which is not read", "unpack the archive");
  if (e.size > static_cast<uint64_t>(max_bytes))
    throw Error(where, "unpacks to " + std::to_string(e.size) + " bytes, over the limit of " + std::to_string(max_bytes));
  const std::string_view b = bytes_;
  const auto damaged = [&] { return Error(where, "is damaged", "restore the archive"); };
  if (e.offset > b.size() || b.size() - e.offset < kLocalBytes || b.substr(e.offset, 4) != "PK\3\4") throw damaged();
  const uint64_t start = e.offset + kLocalBytes + number<2>(b, e.offset + 26) + number<2>(b, e.offset + 28);
  if (start > b.size() || b.size() - start < e.packed) throw damaged();
  const std::string_view packed = b.substr(start, e.packed);
  std::string text;
  if (e.method == kStored)
    text = std::string(packed);
  else if (!inflate_to(packed, e.size, text))
    throw damaged();
  if (text.size() != e.size || crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())) != e.crc)
    throw damaged();
  return text;
}

}  // namespace cytodet::core
