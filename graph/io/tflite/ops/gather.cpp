// Elements by their places, and places by their values.
#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

void lite_gather(Call& c) {
  const auto& o = c.options<schema::GatherOptions>();
  c.set(0, c.b.add("GatherV2", {c.in(0), c.in(1), c.b.int32(c.axis_of(o.axis(), 0))}, {{"batch_dims", int64_t{o.batch_dims()}}}));
}

void embedding_lookup(Call& c) { c.set(0, c.b.add("GatherV2", {c.in(1), c.in(0), c.b.int32(0)})); }

void lite_one_hot(Call& c) {
  c.set(0,
        c.b.add("OneHot", {c.in(0), c.in(1), c.in(2), c.in(3)}, {{"axis", int64_t{c.options<schema::OneHotOptions>().axis()}}}));
}

void lite_top_k(Call& c) {
  const Value y = c.b.add("TopKV2", {c.in(0), c.in(1)}, {{"sorted", true}});
  c.set(0, y);
  c.set(1, Builder::output(y, 1));
}

void place_of(Call& c, const char* op) { c.set(0, c.b.add(op, {c.in(0), c.in(1)}, {{"output_type", c.result(0).dtype}})); }
void lite_arg_max(Call& c) { place_of(c, "ArgMax"); }
void lite_arg_min(Call& c) { place_of(c, "ArgMin"); }

void lite_reverse_sequence(Call& c) {
  const auto& o = c.options<schema::ReverseSequenceOptions>();
  c.set(0, c.b.add("ReverseSequence", {c.in(0), c.in(1)},
                   {{"seq_dim", int64_t{o.seq_dim()}}, {"batch_dim", int64_t{o.batch_dim()}}}));
}

void lite_cumsum(Call& c) {
  const auto& o = c.options<schema::CumsumOptions>();
  c.set(0, c.b.add("Cumsum", {c.in(0), c.in(1)}, {{"exclusive", o.exclusive()}, {"reverse", o.reverse()}}));
}

void lite_scatter_nd(Call& c) { c.set(0, c.b.add("ScatterNd", {c.in(0), c.in(1), c.in(2)})); }
void lite_where(Call& c) { c.set(0, c.b.add("Where", {c.in(0)})); }

// Lists of places are filled up to the stated length.
void suppression(Call& c, const char* op, size_t inputs, std::initializer_list<size_t> outputs) {
  std::vector<Value> in;
  for (size_t i = 0; i < inputs; ++i) in.push_back(c.in(i));
  const Value y = c.b.add(op, in, {{"pad_to_max_output_size", true}});
  size_t slot = 0;
  for (size_t output : outputs) c.set(output, Builder::output(y, static_cast<int>(slot++)));
}
void lite_nms_v4(Call& c) { suppression(c, "NonMaxSuppressionV4", 5, {0, 1}); }
void lite_nms_v5(Call& c) { suppression(c, "NonMaxSuppressionV5", 6, {0, 1, 2}); }

}  // namespace

const std::vector<LiteEntry>& lite_gather_entries() {
  static const std::vector<LiteEntry> entries = {
      {Code::ARG_MAX, lite_arg_max},
      {Code::ARG_MIN, lite_arg_min},
      {Code::CUMSUM, lite_cumsum},
      {Code::EMBEDDING_LOOKUP, embedding_lookup, true},
      {Code::GATHER, lite_gather, true},
      {Code::GATHER_ND,
       [](Call& c) {
         c.set(0, c.b.add("GatherNd", {c.in(0), c.in(1)}));
       },
       true},
      {Code::NON_MAX_SUPPRESSION_V4, lite_nms_v4},
      {Code::NON_MAX_SUPPRESSION_V5, lite_nms_v5},
      {Code::ONE_HOT, lite_one_hot},
      {Code::REVERSE_SEQUENCE, lite_reverse_sequence, true},
      {Code::REVERSE_V2,
       [](Call& c) {
         c.set(0, c.b.add("ReverseV2", {c.in(0), c.in(1)}));
       },
       true},
      {Code::SCATTER_ND, lite_scatter_nd},
      {Code::TOPK_V2, lite_top_k, true},
      {Code::WHERE, lite_where},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
