#include "tiling/slides/formats/kfb_file.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "core/error.h"

namespace cytodet::tiling {
namespace {

constexpr int64_t kHeaderBytes = 0x5c, kEntryBytes = 64;
constexpr int64_t kMaxKfbTiles = 4 << 20, kMaxTileBytes = int64_t{64} << 20, kMaxKfbSide = int64_t{1} << 24;

[[noreturn]] void damaged_kfb(const std::string& why) { throw Error("", "damaged KFB: " + why, "restore the file"); }

// Little endian, as the machine is.
template <class T>
T at(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

void read_exactly(int fd, int64_t offset, uint8_t* into, int64_t bytes) {
  while (bytes > 0) {
    const ssize_t n = ::pread(fd, into, static_cast<size_t>(bytes), offset);
    if (n <= 0) damaged_kfb("it ends at byte " + std::to_string(offset));
    offset += n;
    into += n;
    bytes -= n;
  }
}

struct Entry {
  uint32_t x, y, width, height;
  float scale;
  uint32_t bytes;
  int64_t place;
};

std::vector<Entry> read_index(int fd, int64_t start, int64_t count) {
  constexpr int64_t kPiece = 4096;
  std::vector<Entry> entries;
  entries.reserve(static_cast<size_t>(count));
  std::vector<uint8_t> piece(static_cast<size_t>(kPiece * kEntryBytes));
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t n = std::min(kPiece, count - first);
    read_exactly(fd, start + first * kEntryBytes, piece.data(), n * kEntryBytes);
    for (int64_t i = 0; i < n; ++i) {
      const uint8_t* p = piece.data() + i * kEntryBytes;
      if (std::memcmp(p, "\xf1\x04\xee\xee", 4) != 0)
        damaged_kfb("entry " + std::to_string(first + i) + " of the tile index does not start as one");
      entries.push_back({at<uint32_t>(p + 4), at<uint32_t>(p + 8), at<uint32_t>(p + 12), at<uint32_t>(p + 16), at<float>(p + 20),
                         at<uint32_t>(p + 32), at<int64_t>(p + 36)});
    }
  }
  return entries;
}

// A way to find a tile's data.
struct Placing {
  const char* name;
  void (*place)(int64_t index, const std::vector<Entry>& entries, std::vector<int64_t>& offsets);
};
constexpr Placing kPlacings[] = {
    {"stated",
     [](int64_t index, const std::vector<Entry>& entries, std::vector<int64_t>& offsets) {
       for (size_t i = 0; i < entries.size(); ++i)
         offsets[i] = static_cast<int64_t>(static_cast<uint64_t>(index) + static_cast<uint64_t>(entries[i].place));
     }},
    {"after the first",
     [](int64_t index, const std::vector<Entry>& entries, std::vector<int64_t>& offsets) {
       auto next = static_cast<uint64_t>(index) + static_cast<uint64_t>(entries[0].place);
       for (size_t i = 0; i < entries.size(); ++i) {
         offsets[i] = static_cast<int64_t>(next);
         next += entries[i].bytes;
       }
     }},
    {"after the index",
     [](int64_t index, const std::vector<Entry>& entries, std::vector<int64_t>& offsets) {
       int64_t next = index + static_cast<int64_t>(entries.size()) * kEntryBytes;
       for (size_t i = 0; i < entries.size(); ++i) {
         offsets[i] = next;
         next += entries[i].bytes;
       }
     }},
};

bool starts_jpeg(int fd, int64_t offset) {
  uint8_t head[3];
  return ::pread(fd, head, 3, offset) == 3 && head[0] == 0xff && head[1] == 0xd8 && head[2] == 0xff;
}

// Offsets of all tiles, by the way under which every tile lies in the file and the most of a sample start as JPEG does.
std::vector<int64_t> place_tiles(int fd, int64_t size, int64_t index, const std::vector<Entry>& entries) {
  std::vector<int64_t> offsets(entries.size()), best;
  int max = 0;
  for (const Placing& way : kPlacings) {
    way.place(index, entries, offsets);
    bool inside = true;
    for (size_t i = 0; i < entries.size() && inside; ++i)
      inside = offsets[i] >= 0 && entries[i].bytes <= size && offsets[i] <= size - static_cast<int64_t>(entries[i].bytes);
    if (!inside) continue;
    int looked = 0, good = 0;
    const size_t step = std::max<size_t>(1, entries.size() / 64);
    for (size_t i = 0; i < entries.size(); i += step)
      if (entries[i].bytes > 0) {
        ++looked;
        good += starts_jpeg(fd, offsets[i]);
      }
    if (looked == 0) return offsets;
    if (good > max) {
      max = good;
      best = offsets;
    }
  }
  if (best.empty()) damaged_kfb("the tile index points at no tiles, or beyond the file");
  return best;
}

// Columns as x says; where x does not fit the grid, or sets two tiles in one place, by rank in the row.
void set_columns(KfbLevel& level, const std::vector<uint32_t>& x, int side) {
  const int64_t columns = (level.width + side - 1) / side;
  std::vector<std::pair<int64_t, int64_t>> taken;
  bool fits = true;
  for (size_t i = 0; i < level.tiles.size() && fits; ++i) {
    KfbTile& t = level.tiles[i];
    t.column = x[i] / static_cast<uint32_t>(side);
    fits = x[i] % static_cast<uint32_t>(side) == 0 && t.column < columns;
    taken.emplace_back(t.row, t.column);
  }
  std::sort(taken.begin(), taken.end());
  if (fits && std::adjacent_find(taken.begin(), taken.end()) == taken.end()) return;
  std::map<int64_t, int64_t> rank;
  for (KfbTile& t : level.tiles) {
    t.column = rank[t.row]++;
    if (t.column >= columns) damaged_kfb("a row of tiles is wider than its level");
  }
}

// The header's fields, checked, and where the tile index lies.
struct KfbHeader {
  KfbFile file;
  int64_t tiles = 0, index = 0;
};
KfbHeader read_header(int fd, int64_t size) {
  if (size < kHeaderBytes) damaged_kfb("it ends within its header");
  uint8_t h[kHeaderBytes];
  read_exactly(fd, 0, h, kHeaderBytes);
  if (std::memcmp(h + 4, "KFBF", 4) == 0) throw Error("", "KFB of fluorescence is not supported", "export it as TIFF");
  if (std::memcmp(h + 4, "KFB\0", 4) != 0) damaged_kfb("its header does not say KFB");
  if (std::memcmp(h + 0x20, "JPEG", 4) != 0 && std::memcmp(h + 0x20, "JPG", 3) != 0)
    throw Error("", "KFB with tiles that are not JPEG is not supported", "export it as TIFF");
  KfbHeader header{{}, at<int32_t>(h + 0x10), at<int64_t>(h + 0x44)};
  KfbFile& f = header.file;
  f.height = at<int32_t>(h + 0x14);
  f.width = at<int32_t>(h + 0x18);
  f.scan_scale = at<int32_t>(h + 0x1c);
  f.tile_side = at<int32_t>(h + 0x58);
  const float mpp = at<float>(h + 0x4c);
  f.mpp = std::isfinite(mpp) && mpp > 0.005f && mpp < 100 ? static_cast<double>(mpp) : 0;
  if (f.width <= 0 || f.height <= 0 || f.width > kMaxKfbSide || f.height > kMaxKfbSide)
    damaged_kfb("the image is " + std::to_string(f.width) + " x " + std::to_string(f.height) + " pixels");
  if (f.tile_side < 16 || f.tile_side > 4096) damaged_kfb("its tiles are " + std::to_string(f.tile_side) + " pixels wide");
  if (header.index < kHeaderBytes || header.index > size)
    damaged_kfb("its tile index is at byte " + std::to_string(header.index));
  if (header.tiles <= 0 || header.tiles > std::min(kMaxKfbTiles, (size - header.index) / kEntryBytes))
    damaged_kfb("a tile index of " + std::to_string(header.tiles) + " tiles does not fit into the file");
  return header;
}

// A level while its tiles are collected; x: of every tile, in pixels.
struct OpenLevel {
  KfbLevel level;
  std::vector<uint32_t> x;
};
using LevelsByScale = std::map<double, OpenLevel, std::greater<>>;  // the finest first

// Adds tile i, which lies at `offset`, to the level of its scale.
void add_tile(const KfbFile& f, size_t i, const Entry& e, int64_t offset, double finest, LevelsByScale& levels) {
  const double down = finest / static_cast<double>(e.scale);
  if (f.width < down || f.height < down) return;  // levels of less than a pixel
  auto& [level, x] = levels[static_cast<double>(e.scale)];
  if (levels.size() > 64) damaged_kfb("it has more than 64 levels");
  level.scale = static_cast<double>(e.scale);
  level.width = static_cast<int64_t>(static_cast<double>(f.width) / down);
  level.height = static_cast<int64_t>(static_cast<double>(f.height) / down);
  const auto side = static_cast<uint32_t>(f.tile_side);
  const bool fits = e.width > 0 && e.height > 0 && e.width <= side && e.height <= side && e.bytes <= kMaxTileBytes;
  if (!fits || e.y % side != 0)
    damaged_kfb("tile " + std::to_string(i) + " of " + std::to_string(e.width) + " x " + std::to_string(e.height) +
                " pixels and " + std::to_string(e.bytes) + " bytes at line " + std::to_string(e.y) + " does not fit the grid");
  if (e.y >= level.height) return;  // a last line that rounding leaves out
  KfbTile tile;
  tile.row = e.y / side;
  tile.width = static_cast<int>(e.width);
  tile.height = static_cast<int>(e.height);
  tile.offset = offset;
  tile.bytes = e.bytes;
  level.tiles.push_back(tile);
  x.push_back(e.x);
}

// The greatest scale of a tile, which is that of level 0.
double finest_scale(const std::vector<Entry>& entries) {
  double finest = 0;
  for (const Entry& e : entries) {
    if (!(e.scale > 0 && e.scale < 1e6f)) damaged_kfb("a tile has scale " + std::to_string(e.scale));
    finest = std::max(finest, static_cast<double>(e.scale));
  }
  return finest;
}

}  // namespace

KfbFile read_kfb(int fd, int64_t size) {
  KfbHeader header = read_header(fd, size);
  KfbFile f = std::move(header.file);
  const std::vector<Entry> entries = read_index(fd, header.index, header.tiles);
  const std::vector<int64_t> offsets = place_tiles(fd, size, header.index, entries);
  const double finest = finest_scale(entries);
  LevelsByScale levels;
  for (size_t i = 0; i < entries.size(); ++i) add_tile(f, i, entries[i], offsets[i], finest, levels);
  for (auto& [scale, found] : levels) {
    auto& [level, x] = found;
    set_columns(level, x, f.tile_side);
    std::sort(level.tiles.begin(), level.tiles.end(),
              [](const KfbTile& a, const KfbTile& b) { return a.row != b.row ? a.row < b.row : a.column < b.column; });
    f.levels.push_back(std::move(level));
  }
  if (f.levels.empty()) damaged_kfb("it has no levels");
  return f;
}

}  // namespace cytodet::tiling
