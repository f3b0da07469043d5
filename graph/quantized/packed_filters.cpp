#include "graph/quantized/packed_filters.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace cytodet::graph {
namespace {

constexpr int64_t kSmallestPacked = 1024;
constexpr int64_t kBytes = 256;  // values of a byte

class FilterPacker {
 public:
  explicit FilterPacker(Graph& graph) : g_(graph) {}

  // Bytes of the packed form; 0: it stays as it is.
  int64_t pack(NodeId id) {
    const Tensor values = *g_.constant(id);
    const int8_t* v = values.data<int8_t>();
    const std::set<int8_t> kinds(v, v + values.size());
    const bool five = kinds.size() > 16;
    if (values.size() < kSmallestPacked || kinds.size() > 32 || values.size() % (five ? 8 : 2)) return 0;
    std::vector<int8_t> levels(kinds.begin(), kinds.end());
    // One table for all filters of plain 4-bit values.
    if (!five && levels.front() >= -8 && levels.back() <= 7) levels = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
    std::vector<uint8_t> index(static_cast<size_t>(values.size()));
    for (size_t i = 0; i < index.size(); ++i)
      index[i] = static_cast<uint8_t>(std::lower_bound(levels.begin(), levels.end(), v[i]) - levels.begin());
    const std::string name = g_.node(id).name;
    int64_t bytes = 0;
    const Value found = five ? five_bits(name, index, levels, bytes) : four_bits(name, index, levels, bytes);
    const Value shaped = reshape(name + "/unpacked", found, DType::qint8, values.shape());
    g_.replace_uses({id, 0}, shaped);
    return bytes;
  }

 private:
  Value four_bits(const std::string& name, const std::vector<uint8_t>& index, const std::vector<int8_t>& levels, int64_t& bytes) {
    Value& pairs = pairs_[levels];
    if (pairs.node < 0) {
      Tensor table(DType::qint8, {kBytes, 2});
      for (int64_t b = 0; b < kBytes; ++b)
        for (int64_t half = 0; half < 2; ++half)
          table.data<int8_t>()[2 * b + half] = levels[std::min<size_t>(levels.size() - 1, b >> 4 * half & 15)];
      pairs = g_.add_const("packed/pairs", table);
      bytes += static_cast<int64_t>(table.bytes());
    }
    return gather(name, pairs, DType::qint8, halves(name, index, bytes));
  }

  Value five_bits(const std::string& name, const std::vector<uint8_t>& index, const std::vector<int8_t>& levels, int64_t& bytes) {
    if (nibbles_.node < 0) {
      nibbles_ = byte_table("packed/halves", 2, [](int64_t b, int64_t half) { return b >> 4 * half & 15; });
      bits_ = byte_table("packed/fifth_bits", 8, [](int64_t b, int64_t bit) { return (b >> bit & 1) * 16; });
    }
    const int64_t n = static_cast<int64_t>(index.size());
    Tensor high(DType::u8, {n / 8});
    for (int64_t i = 0; i < n; ++i)
      high.data<uint8_t>()[i / 8] |= static_cast<uint8_t>((index[static_cast<size_t>(i)] >> 4) << i % 8);
    bytes += n / 8 + static_cast<int64_t>(levels.size());
    const Value low = gather(name + "/low", nibbles_, DType::u8, halves(name + "/low", index, bytes)),
                top = gather(name + "/high", bits_, DType::u8, g_.add_const(name + "/high/packed", high));
    AttrMap sum{{"T", DType::u8}}, cast{{"SrcT", DType::u8}, {"DstT", DType::i32}};
    const Value sums =
        g_.add_new(name + "/index", "AddV2",
                   {reshape(name + "/low/flat", low, DType::u8, {n}), reshape(name + "/high/flat", top, DType::u8, {n})}, sum);
    const Value at = g_.add_new(name + "/place", "Cast", {sums}, cast);
    Tensor table(DType::qint8, {static_cast<int64_t>(levels.size())});
    std::copy(levels.begin(), levels.end(), table.data<int8_t>());
    return g_.add_new(name + "/values", "GatherV2", {g_.add_const(name + "/levels", table), at, axis()},
                      gather_attrs(DType::qint8));
  }

  // The lower four bits of two indices a byte.
  Value halves(const std::string& name, const std::vector<uint8_t>& index, int64_t& bytes) {
    Tensor packed(DType::u8, {static_cast<int64_t>(index.size() / 2)});
    for (size_t i = 0; i < index.size(); ++i)
      packed.data<uint8_t>()[i / 2] |= static_cast<uint8_t>((index[i] & 15) << 4 * (i % 2));
    bytes += packed.size();
    return g_.add_const(name + "/packed", packed);
  }

  template <class Entry>
  Value byte_table(const char* name, int64_t wide, Entry entry) {
    Tensor table(DType::u8, {kBytes, wide});
    for (int64_t b = 0; b < kBytes; ++b)
      for (int64_t i = 0; i < wide; ++i) table.data<uint8_t>()[b * wide + i] = static_cast<uint8_t>(entry(b, i));
    return g_.add_const(name, table);
  }

  static AttrMap gather_attrs(DType type) {
    return {{"Tparams", type}, {"Tindices", DType::i32}, {"Taxis", DType::i32}, {"batch_dims", int64_t{0}}};
  }
  Value axis() {
    if (axis_.node < 0) axis_ = g_.add_const("packed/axis", Tensor::scalar<int32_t>(0));
    return axis_;
  }
  // table[packed], packed of bytes.
  Value gather(const std::string& name, Value table, DType type, Value packed) {
    AttrMap cast{{"SrcT", DType::u8}, {"DstT", DType::i32}};
    const Value index = g_.add_new(name + "/bytes", "Cast", {packed}, cast);
    return g_.add_new(name + "/values", "GatherV2", {table, index, axis()}, gather_attrs(type));
  }
  Value reshape(const std::string& name, Value x, DType type, const Shape& shape) {
    AttrMap attrs{{"T", type}, {"Tshape", DType::i32}};
    const std::vector<int32_t> sizes(shape.begin(), shape.end());
    return g_.add_new(name, "Reshape",
                      {x, g_.add_const(name + "/shape", Tensor::from({static_cast<int64_t>(sizes.size())}, sizes))}, attrs);
  }

  Graph& g_;
  std::map<std::vector<int8_t>, Value> pairs_;
  Value nibbles_{-1, 0}, bits_{-1, 0}, axis_{-1, 0};
};

}  // namespace

PackedFilters pack_filters(Graph& graph) {
  PackedFilters done;
  FilterPacker packer(graph);
  const Consumers uses(graph);
  for (NodeId id : graph.ids()) {
    const Tensor* values = graph.constant(id);
    if (!values || values->dtype() != DType::qint8 || uses.of(id).empty()) continue;
    const int64_t before = values->size();
    const int64_t after = packer.pack(id);
    if (after == 0) continue;
    ++done.filters;
    done.before += before;
    done.after += after;
    if (uses.controls_of(id).empty()) graph.remove(id);
  }
  return done;
}

}  // namespace cytodet::graph
