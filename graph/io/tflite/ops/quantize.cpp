// Between numbers and stored values: here both are numbers, and what is made is rounded as its tensor says (translate.cpp).
#include <algorithm>

#include "graph/io/tflite/op_table.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

// Constants of float16, however large, become float32 ones.
void lite_same_number(Call& c) {
  const Tensor* half = c.constant(0);
  if (!half || half->dtype() != DType::f16) return c.set(0, c.b.cast(c.in(0), DType::f32));
  Tensor floats(DType::f32, half->shape());
  std::transform(half->data<Half>(), half->data<Half>() + half->size(), floats.data<float>(),
                 [](Half h) { return static_cast<float>(h); });
  c.set(0, c.b.constant(std::move(floats)));
}

void lite_fake_quant(Call& c) {
  const auto& o = c.options<schema::FakeQuantOptions>();
  c.set(0,
        c.b.add("FakeQuantWithMinMaxArgs", {c.in(0)},
                {{"min", o.min()}, {"max", o.max()}, {"num_bits", int64_t{o.num_bits()}}, {"narrow_range", o.narrow_range()}}));
}

}  // namespace

const std::vector<LiteEntry>& lite_quantize_entries() {
  static const std::vector<LiteEntry> entries = {
      {Code::DEQUANTIZE, lite_same_number},
      {Code::FAKE_QUANT, lite_fake_quant},
      {Code::QUANTIZE, lite_same_number, true},
  };
  return entries;
}

}  // namespace cytodet::graph::lite
