// Slides damaged on purpose: stored tiles overwritten, by level.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace cytodet {

struct StoredTile {
  int level = 0, index = 0;  // index within its level, as stored
  size_t at = 0, bytes = 0;  // in the file
};

namespace damaged_detail {

template <class T>
T number(const std::string& file, size_t at) {
  T v{};
  std::memcpy(&v, &file.at(at), sizeof v);
  return v;
}

}  // namespace damaged_detail

// Stored tiles of a little-endian classic TIFF: TileOffsets (324) and TileByteCounts (325) of each directory.
inline std::vector<StoredTile> stored_tiles_of_tiff(const std::string& file) {
  using damaged_detail::number;
  std::vector<StoredTile> all;
  int level = 0;
  for (size_t at = number<uint32_t>(file, 4); at; ++level) {
    const size_t entries = number<uint16_t>(file, at);
    std::map<int, std::vector<uint32_t>> lists;
    for (size_t e = 0; e < entries; ++e) {
      const size_t entry = at + 2 + 12 * e;
      const auto type = number<uint16_t>(file, entry + 2);
      const size_t count = number<uint32_t>(file, entry + 4), size = type == 3 ? 2 : 4;
      const size_t place = count * size <= 4 ? entry + 8 : number<uint32_t>(file, entry + 8);
      const int tag = number<uint16_t>(file, entry);
      if (tag != 324 && tag != 325) continue;
      for (size_t i = 0; i < count; ++i)
        lists[tag].push_back(size == 2 ? number<uint16_t>(file, place + 2 * i) : number<uint32_t>(file, place + 4 * i));
    }
    for (size_t i = 0; i < lists[324].size(); ++i) all.push_back({level, static_cast<int>(i), lists[324][i], lists[325].at(i)});
    at = number<uint32_t>(file, at + 2 + 12 * entries);
  }
  return all;
}

// Stored tiles of a KFB whose index states the places of its tiles (KfbWriter::Place::stated), scanned at 40.
inline std::vector<StoredTile> stored_tiles_of_kfb(const std::string& file) {
  using damaged_detail::number;
  std::vector<StoredTile> all;
  std::map<int, int> seen;
  const auto index = static_cast<size_t>(number<int64_t>(file, 0x44));
  for (int i = 0; i < number<int>(file, 0x10); ++i) {
    const size_t entry = index + 64 * static_cast<size_t>(i);
    int level = 0;
    for (float scale = number<float>(file, entry + 20); scale < 39; scale *= 2) ++level;
    all.push_back({level, seen[level]++, index + static_cast<size_t>(number<int64_t>(file, entry + 36)),
                   static_cast<size_t>(number<int>(file, entry + 32))});
  }
  return all;
}

// The file with the stored tiles that `which` wants made unreadable.
inline std::string damage_tiles(std::string file, const std::vector<StoredTile>& tiles,
                                const std::function<bool(const StoredTile&)>& which) {
  for (const StoredTile& t : tiles)
    if (which(t)) file.replace(t.at, t.bytes, t.bytes, '\xff');
  return file;
}

}  // namespace cytodet
