#include "exec/steps/row_io.h"

namespace cytodet::exec {

CodeTable::CodeTable(const Quant& quant, const std::vector<float>& factors, int64_t columns, int panel)
    : inverse_scales((columns + panel - 1) / panel * panel),
      lowest(static_cast<float>(quant.lowest() - quant.zero_point)),
      highest(static_cast<float>(quant.highest() - quant.zero_point)) {
  for (int64_t i = 0; i < columns; ++i)
    inverse_scales.data()[i] = (factors.empty() ? 1.0f : factors[static_cast<size_t>(i) % factors.size()]) / quant.scale;
}

RowSource::RowSource(const KernelSet& set, const StepInput& in, int64_t channels) : set_(set), in_(in), channels_(channels) {
  if (in.quant) table_ = CodeTable(*in.quant, {}, channels, set.panel);
}

const float* RowSource::rows(const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const {
  const Map map = context.map(in_.tensor);
  const int64_t first = pixel * channels_, numbers = pixels * channels_;
  switch (in_.form) {
    case Form::codes:
      set_.floats_of_codes(map.codes(first), numbers, table_.lowest, scratch);
      return scratch;
    case Form::halves:
      set_.floats_of_halves(map.halves(first), numbers, scratch);
      break;
    case Form::bf16:
      set_.floats_of_bf16(map.bf16(first), numbers, scratch);
      break;
    case Form::floats:
      if (!coded()) return map.floats(first);
      set_.round_to_codes(map.floats(first), scratch, pixels, channels_, table_.rule());
      return scratch;
  }
  if (coded()) set_.round_to_codes(scratch, scratch, pixels, channels_, table_.rule());
  return scratch;
}

const float* RowSource::numbers(const RunContext& context, int64_t pixel, int64_t pixels, float* scratch) const {
  const float* floats = rows(context, pixel, pixels, scratch);
  if (!coded()) return floats;
  const WeightedRow row{floats, scale()};
  set_.weighted_sum_row(&row, 1, Act::none, scratch, pixels, channels_);
  return scratch;
}

ResultRows::ResultRows(const KernelSet& set, const StepOutput& out, int64_t channels)
    : set_(set), tensor_(out.tensor), channels_(channels), form_(out.form()) {
  if (out.coding) table_ = CodeTable(out.coding->quant, out.coding->factors, channels, set.panel);
}

void ResultRows::store_columns(const RunContext& context, int64_t pixel, int64_t rows, int64_t first, int64_t columns,
                               const float* scratch, int64_t lda) const {
  const int64_t number = pixel * channels_ + first;
  if (form_ == Form::codes)
    set_.codes_of_rows(scratch, lda, rows, columns, rule(first), context.codes_out(tensor_) + number, channels_);
  else if (form_ == Form::bf16)
    set_.bf16_of_rows(scratch, lda, rows, columns, context.shorts_out(tensor_) + number, channels_);
  else
    set_.halves_of_rows(scratch, lda, rows, columns, context.unit(tensor_), context.shorts_out(tensor_) + number, channels_);
}

void* ResultRows::at(const RunContext& context, int64_t pixel, int64_t first) const {
  const int64_t number = pixel * channels_ + first;
  return form_ == Form::floats  ? static_cast<void*>(context.out(tensor_) + number)
         : form_ == Form::codes ? static_cast<void*>(context.codes_out(tensor_) + number)
                                : context.shorts_out(tensor_) + number;
}

}  // namespace cytodet::exec
