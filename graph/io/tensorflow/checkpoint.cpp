#include "graph/io/tensorflow/checkpoint.h"

#include <algorithm>
#include <cstdio>

#include "core/crc32c.h"
#include "core/error.h"
#include "core/file.h"
#include "core/suggest.h"
#include "graph/io/byte_cursor.h"
#include "graph/io/tensorflow/file_part.h"
#include "graph/io/tensorflow/table_file.h"
#include "saved_model.pb.h"

namespace cytodet::graph {
namespace {

constexpr int64_t kMaxIndex = int64_t{256} << 20;  // bytes
constexpr const char* kObjects = "_CHECKPOINTABLE_OBJECT_GRAPH";
constexpr const char* kVersion1 = "save it with TensorFlow again, in version 2 (write_version=tf.train.SaverDef.V2)";

std::string number(int n) {
  char text[16];
  std::snprintf(text, sizeof text, "%05d", n);
  return text;
}

// Keys of slices are no names: they begin with a byte 0 (see slice_key).
bool is_name(const std::string& key) { return !key.empty() && key[0] != '\0'; }

std::string read_index(const std::filesystem::path& prefix) {
  const std::filesystem::path index = prefix.string() + ".index";
  std::error_code ignored;
  if (!std::filesystem::exists(index, ignored) && std::filesystem::is_regular_file(prefix, ignored)) {
    const int64_t size = static_cast<int64_t>(std::filesystem::file_size(prefix, ignored)), end = std::min<int64_t>(size, 48);
    std::string bytes(static_cast<size_t>(end), '\0');
    FilePart(prefix.string(), size - end, end, "it is a checkpoint").read(bytes.data());
    if (is_table_file(bytes)) throw Error(prefix.string(), "is a checkpoint of version 1, which is not read", kVersion1);
  }
  return read_file(index, kMaxIndex);
}

TensorSlice slice_of(const proto::TensorSliceProto& m) {
  TensorSlice slice;
  for (const auto& e : m.extent()) slice.push_back({e.start(), e.has_length() ? e.length() : -1});
  return slice;
}

Checkpoint::Entry decode_entry(const std::string& value, int shards) {
  proto::BundleEntryProto m;
  if (!m.ParseFromString(value)) throw Error("", "its entry cannot be read", "the file is damaged");
  Checkpoint::Entry e;
  e.dtype = static_cast<DType>(m.dtype());
  if (m.shape().unknown_rank() || m.shape().dim_size() > kMaxRank)
    throw Error("", "its shape is not known", "the file is damaged");
  for (const auto& d : m.shape().dim()) e.shape.push_back(d.size());
  elements(e.shape);
  e.shard = m.shard_id();
  e.offset = m.offset();
  e.size = m.size();
  e.masked_crc = m.crc32c();
  for (const auto& s : m.slices()) e.slices.push_back(slice_of(s));
  if (e.shard < 0 || e.shard >= shards || e.offset < 0 || e.size < 0)
    throw Error("", "its entry points outside the checkpoint", "the file is damaged");
  return e;
}

int decode_shards(const std::string& value, const std::string& where) {
  proto::BundleHeaderProto header;
  if (!header.ParseFromString(value) || header.num_shards() < 1)
    throw Error(where, "has no header of a checkpoint of version 2", kVersion1);
  if (header.endianness() != proto::BundleHeaderProto::LITTLE)
    throw Error(where, "was written on a big-endian machine", "save it again on this kind of machine");
  if (header.version().min_consumer() > 1)
    throw Error(where, "is of a form that only newer programs read", "save it with an older TensorFlow");
  return header.num_shards();
}

// Lengths as varints, their checksum, then the bytes of all texts. Lengths count for the checksum as 4 bytes, or 8 where a text
// is longer than 4 GiB.
class TextReader {
 public:
  TextReader(std::string_view bytes, const Checkpoint::Entry& entry) : bytes_(bytes), entry_(entry) {}

  Tensor read() {
    const int64_t n = elements(entry_.shape);
    if (n > entry_.size) throw Error("", "has too few bytes for its shape " + to_string(entry_.shape));
    std::vector<uint64_t> lengths;
    for (int64_t i = 0; i < n; ++i) lengths.push_back(length());
    const std::string_view sum = take(4);
    if (fixed32(sum) != masked_crc(crc_)) throw Error("", "the lengths of its texts do not have their checksum");
    crc_ = crc32c(sum, crc_);
    Tensor t(DType::string, entry_.shape);
    for (size_t i = 0; i < lengths.size(); ++i) {
      t.strings()[i] = take(lengths[i]);
      crc_ = crc32c(t.strings()[i], crc_);
    }
    if (!bytes_.done() || masked_crc(crc_) != entry_.masked_crc) throw Error("", "does not have its checksum");
    return t;
  }

 private:
  std::string_view take(uint64_t n) {
    std::string_view taken;
    if (!bytes_.text(n, taken)) throw Error("", "ends too soon");
    return taken;
  }
  uint64_t length() {
    uint64_t v = 0;
    if (!bytes_.varint(v)) throw Error("", "ends too soon");
    char bytes[8];
    for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(v >> (8 * i));
    crc_ = crc32c({bytes, v <= UINT32_MAX ? size_t{4} : size_t{8}}, crc_);
    return v;
  }

  ByteCursor bytes_;
  const Checkpoint::Entry& entry_;
  uint32_t crc_ = 0;
};

Tensor read_numbers(const FilePart& part, const Checkpoint::Entry& e) {
  const auto item = static_cast<int64_t>(size_of(e.dtype));
  if (item == 0) throw Error("", "is of type " + name_of(e.dtype) + ", which cannot be held", "leave it out of what is frozen");
  const int64_t n = elements(e.shape);
  if (e.size % item != 0 || e.size / item != n)
    throw Error("", std::to_string(e.size) + " bytes are stored for its shape " + to_string(e.shape));
  Tensor t(e.dtype, e.shape);
  part.read(static_cast<char*>(t.raw()));
  if (masked_crc(crc32c({static_cast<const char*>(t.raw()), t.bytes()})) != e.masked_crc)
    throw Error("", "does not have its checksum");
  return t;
}

}  // namespace

Checkpoint::Checkpoint(const std::filesystem::path& prefix) : Checkpoint(prefix, read_index(prefix)) {}

Checkpoint::Checkpoint(const std::filesystem::path& prefix, std::string_view index) : prefix_(prefix) {
  const std::vector<TableEntry> table = read_table_file(index, index_path());
  if (table.empty() || !table[0].key.empty()) throw Error(index_path(), "has no header of a checkpoint of version 2", kVersion1);
  shards_ = decode_shards(table[0].value, index_path());
  for (size_t i = 1; i < table.size(); ++i) {
    try {
      entries_.emplace_hint(entries_.end(), table[i].key, decode_entry(table[i].value, shards_));
    } catch (const Error& e) {
      throw e.within(is_name(table[i].key) ? "tensor \"" + table[i].key + "\"" : "a slice").within(index_path());
    }
  }
}

std::string Checkpoint::shard_path(int shard) const {
  return prefix_.string() + ".data-" + number(shard) + "-of-" + number(shards_);
}

std::string Checkpoint::role() const { return "it holds values of the checkpoint " + prefix_.string(); }

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [key, entry] : entries_)
    if (is_name(key) && key != kObjects) names.push_back(key);
  return names;
}

const Checkpoint::Entry* Checkpoint::find(const std::string& name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() || name.empty() ? nullptr : &it->second;
}

const Checkpoint::Entry& Checkpoint::require(const std::string& name) const {
  if (const Entry* e = find(name)) return *e;
  throw Error(index_path(), "holds no tensor \"" + name + "\"", suggest(name, names()));
}

Tensor Checkpoint::read_stored(const std::string& name, const Entry& e) const {
  const std::string path = shard_path(e.shard);
  const FilePart part(path, e.offset, e.size, role());
  try {
    if (e.dtype != DType::string) return read_numbers(part, e);
    std::string bytes(static_cast<size_t>(e.size), '\0');
    part.read(bytes.data());
    return TextReader(bytes, e).read();
  } catch (const Error& error) {
    const std::string fix = error.fix().empty() ? "the file is damaged; copy it again" : error.fix();
    throw Error(path, "tensor \"" + name + "\": " + error.problem(), fix);
  }
}

Tensor Checkpoint::read_parts(const std::string& name, const Entry& e, const TensorSlice& wanted) const {
  const auto unusable = [&](const std::string& why) {
    return Error(index_path(), "tensor \"" + name + "\" is stored in slices " + why, "the checkpoint is damaged; copy it again");
  };
  if (size_of(e.dtype) == 0) throw unusable("of type " + name_of(e.dtype));
  std::vector<TensorSlice> used;
  std::vector<const Entry*> stored;
  int64_t found = 0;
  for (const TensorSlice& slice : e.slices) {
    const TensorSlice extents = slice_within(slice, e.shape);
    const int64_t n = count_common(extents, wanted);
    if (n == 0) continue;
    for (const TensorSlice& other : used)
      if (count_common(extents, other) > 0) throw unusable("that overlap");
    const Entry* part = find(slice_key(name, slice));
    if (!part || part->dtype != e.dtype || part->shape != shape_of(extents)) throw unusable("of which one is missing");
    // Before memory is taken: the bytes are there.
    const FilePart checked(shard_path(part->shard), part->offset, part->size, role());
    if (part->size / static_cast<int64_t>(size_of(e.dtype)) < n) throw unusable("that hold too few bytes");
    used.push_back(extents);
    stored.push_back(part);
    found += n;
  }
  const Shape shape = shape_of(wanted);
  if (found != elements(shape)) throw unusable("that do not cover it");
  if (used.size() == 1 && shape_of(used[0]) == shape) return read_stored(name, *stored[0]);
  Tensor whole(e.dtype, shape);
  for (size_t i = 0; i < used.size(); ++i) copy_common(read_stored(name, *stored[i]), used[i], whole, wanted);
  return whole;
}

Tensor Checkpoint::read(const std::string& name) const {
  const Entry& e = require(name);
  if (e.slices.empty()) return read_stored(name, e);
  return read_parts(name, e, slice_within(TensorSlice(e.shape.size()), e.shape));
}

Tensor Checkpoint::read(const std::string& name, const SliceRequest& request) const {
  const Entry& e = require(name);
  if (request.full != e.shape)
    throw Error(index_path(),
                "tensor \"" + name + "\" is of shape " + to_string(e.shape) + ", but the graph needs a part of " +
                    to_string(request.full),
                "this is the checkpoint of another network");
  if (!e.slices.empty()) return read_parts(name, e, request.slice);
  const TensorSlice whole = slice_within(TensorSlice(e.shape.size()), e.shape);
  Tensor all = read_stored(name, e);
  if (shape_of(request.slice) == e.shape) return all;
  if (size_of(e.dtype) == 0) throw Error(index_path(), "tensor \"" + name + "\" is of texts, which have no slices");
  Tensor part(e.dtype, shape_of(request.slice));
  copy_common(all, whole, part, request.slice);
  return part;
}

std::multimap<std::string, std::string> Checkpoint::keys_by_variable() const {
  std::multimap<std::string, std::string> keys;
  if (!find(kObjects)) return keys;
  const Tensor encoded = read(kObjects);
  proto::TrackableObjectGraph objects;
  if (encoded.dtype() != DType::string || encoded.size() != 1 || !objects.ParseFromString(encoded.strings()[0]))
    throw Error(index_path(), "the graph of objects cannot be read", "the checkpoint is damaged; copy it again");
  for (const auto& node : objects.nodes())
    for (const auto& a : node.attributes())
      if (a.name() == "VARIABLE_VALUE" && !a.full_name().empty() && find(a.checkpoint_key()))
        keys.emplace(a.full_name(), a.checkpoint_key());
  return keys;
}

}  // namespace cytodet::graph
