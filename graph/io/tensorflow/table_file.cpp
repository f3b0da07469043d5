#include "graph/io/tensorflow/table_file.h"

#include <cstdint>

#include "core/crc32c.h"
#include "core/error.h"
#include "graph/io/byte_cursor.h"

namespace cytodet::graph {
namespace {

constexpr std::string_view kMagic = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
constexpr size_t kFooter = 48;           // two handles, padded to 40 bytes, and the magic number
constexpr size_t kTrailer = 5;           // behind a block: its compression, and the checksum of both
constexpr size_t kMaxKey = 64 << 10;     // bytes
constexpr size_t kMaxHeld = 256u << 20;  // bytes of all keys and values: prefixes are stored once, but held for each key

struct Handle {
  uint64_t offset = 0, size = 0;
};
bool read_handle(ByteCursor& cursor, Handle& h) { return cursor.varint(h.offset) && cursor.varint(h.size); }

class TableReader {
 public:
  TableReader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::vector<TableEntry> read() {
    ByteCursor footer(bytes_.substr(bytes_.size() - kFooter));
    Handle meta, index;
    if (!read_handle(footer, meta) || !read_handle(footer, index)) throw damaged(bytes_.size() - kFooter, "the footer");
    block(meta);  // nothing that is used, but damage is found
    for (const TableEntry& e : entries_of(index)) {
      ByteCursor value(e.value);
      Handle block;
      if (!read_handle(value, block)) throw damaged(index.offset, "an entry of the index");
      for (TableEntry& entry : entries_of(block)) {
        if (!all_.empty() && entry.key <= all_.back().key) throw damaged(block.offset, "the order of keys");
        all_.push_back(std::move(entry));
      }
    }
    return std::move(all_);
  }

 private:
  Error damaged(uint64_t at, const std::string& what) const {
    return Error(where_, "is damaged: " + what + " near byte " + std::to_string(at) + " is wrong", "copy the file again");
  }

  // The entries of a block, without the list of restarts at its end.
  std::string_view block(const Handle& h) const {
    if (h.offset > bytes_.size() || h.size > bytes_.size() - h.offset || bytes_.size() - h.offset - h.size < kTrailer)
      throw damaged(h.offset, "a block's place");
    const std::string_view whole = bytes_.substr(h.offset, h.size + kTrailer);
    if (masked_crc(crc32c(whole.substr(0, h.size + 1))) != fixed32(whole.substr(h.size + 1)))
      throw damaged(h.offset, "the checksum of the block");
    if (whole[h.size] != 0) throw Error(where_, "is compressed, which no checkpoint is", "save it with TensorFlow again");
    const std::string_view block = whole.substr(0, h.size);
    if (block.size() < 4) throw damaged(h.offset, "a block's size");
    const uint64_t restarts = fixed32(block.substr(block.size() - 4));
    if (restarts > (block.size() - 4) / 4) throw damaged(h.offset, "the number of restarts");
    return block.substr(0, block.size() - 4 - 4 * restarts);
  }

  // An entry: how many bytes of the key before it shares, how many follow, the value's length, the key's rest, the value.
  std::vector<TableEntry> entries_of(const Handle& h) {
    std::vector<TableEntry> entries;
    std::string key;
    for (ByteCursor cursor(block(h)); !cursor.done();) {
      uint64_t shared, unshared, length;
      std::string_view tail, value;
      if (!cursor.varint(shared) || !cursor.varint(unshared) || !cursor.varint(length) || !cursor.text(unshared, tail) ||
          !cursor.text(length, value) || shared > key.size())
        throw damaged(h.offset, "an entry");
      key.resize(shared);
      key += tail;
      held_ += key.size() + value.size() + sizeof(TableEntry);
      if (key.size() > kMaxKey || held_ > kMaxHeld) throw Error(where_, "holds more names than any checkpoint", "check the file");
      entries.push_back({key, std::string(value)});
    }
    return entries;
  }

  std::string_view bytes_;
  const std::string& where_;
  std::vector<TableEntry> all_;
  size_t held_ = 0;
};

}  // namespace

bool is_table_file(std::string_view bytes) { return bytes.size() >= kFooter && bytes.ends_with(kMagic); }

std::vector<TableEntry> read_table_file(std::string_view bytes, const std::string& where) {
  if (!is_table_file(bytes))
    throw Error(where, "does not end as the index of a checkpoint does", "it was cut off or is another file; copy it again");
  return TableReader(bytes, where).read();
}

}  // namespace cytodet::graph
