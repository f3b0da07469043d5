#include "exec/steps/row_io.h"

namespace cytodet::exec {

PackedQuantizeParams::PackedQuantizeParams(const QuantParams& quant, const std::vector<float>& factors, int64_t columns,
                                           int panel)
    : inverse_scales((columns + panel - 1) / panel * panel),
      qmin(static_cast<float>(quant.qmin() - quant.zero_point)),
      qmax(static_cast<float>(quant.qmax() - quant.zero_point)) {
  for (int64_t i = 0; i < columns; ++i)
    inverse_scales.data()[i] = (factors.empty() ? 1.0f : factors[static_cast<size_t>(i) % factors.size()]) / quant.scale;
}

RowSource::RowSource(const KernelSet& set, const StepInput& in, int64_t channels) : set_(set), in_(in), channels_(channels) {
  if (in.fake_quant) params_ = PackedQuantizeParams(*in.fake_quant, {}, channels, set.panel);
}

const float* RowSource::rows(const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const {
  const FeatureMap map = context.feature_map(in_.tensor);
  const int64_t first = pixel * channels_, values = pixels * channels_;
  switch (in_.storage) {
    case StorageType::q8:
      from_bytes(map.q8(first), values, scratch);
      return scratch;
    case StorageType::f16:
      set_.f16_to_f32(map.f16(first), values, scratch);
      break;
    case StorageType::bf16:
      set_.bf16_to_f32(map.bf16(first), values, scratch);
      break;
    case StorageType::f32:
      if (!quantized()) return map.f32(first);
      set_.fake_quantize(map.f32(first), scratch, pixels, channels_, params_.params());
      return scratch;
  }
  if (quantized()) set_.fake_quantize(scratch, scratch, pixels, channels_, params_.params());
  return scratch;
}

const float* RowSource::values(const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const {
  const float* floats = rows(context, pixel, pixels, scratch);
  if (!quantized()) return floats;
  const WeightedRow row{floats, scale()};
  set_.weighted_sum_row(&row, 1, Act::none, scratch, pixels, channels_);
  return scratch;
}

ResultRows::ResultRows(const KernelSet& set, const StepOutput& out, int64_t channels)
    : set_(set), tensor_(out.tensor), channels_(channels), storage_(out.storage()) {
  if (out.quant) params_ = PackedQuantizeParams(out.quant->quant, out.quant->factors, channels, set.panel);
}

void ResultRows::store_columns(const RunContext& context, int64_t pixel, int64_t pixels, int64_t first, int64_t columns,
                               const float* scratch, int64_t lda) const {
  const int64_t element = pixel * channels_ + first;
  if (storage_ == StorageType::q8)
    set_.quantize(scratch, lda, pixels, columns, params(first), context.q8_out(tensor_) + element, channels_);
  else if (storage_ == StorageType::bf16)
    set_.f32_to_bf16(scratch, lda, pixels, columns, context.out_16bit(tensor_) + element, channels_);
  else
    set_.f32_to_f16(scratch, lda, pixels, columns, context.fp16_scale(tensor_), context.out_16bit(tensor_) + element, channels_);
}

void* ResultRows::at(const RunContext& context, int64_t pixel, int64_t first) const {
  const int64_t element = pixel * channels_ + first;
  return storage_ == StorageType::f32  ? static_cast<void*>(context.out(tensor_) + element)
         : storage_ == StorageType::q8 ? static_cast<void*>(context.q8_out(tensor_) + element)
                                       : context.out_16bit(tensor_) + element;
}

}  // namespace cytodet::exec
