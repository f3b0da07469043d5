#include "exec/steps/concat_step.h"

#include <algorithm>
#include <cstring>

namespace cytodet::exec {
namespace {

// Copies `count` elements of type T that lie one behind the other to places `stride` bytes apart.
template <class T>
void spread(const char* from, int64_t count, int64_t stride, char* to) {
  for (int64_t i = 0; i < count; ++i, to += stride) std::memcpy(to, from + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
}

// Copies `count` rows of so many bytes to places `stride` bytes apart. Rows of one or two floats are common, and a call for each
// would take most of the time.
void copy_rows(const char* from, int64_t bytes, int64_t count, int64_t stride, char* to) {
  if (bytes == sizeof(float)) return spread<float>(from, count, stride, to);
  if (bytes == sizeof(double)) return spread<double>(from, count, stride, to);
  for (int64_t i = 0; i < count; ++i, from += bytes, to += stride) std::memcpy(to, from, static_cast<size_t>(bytes));
}

class ConcatStep : public Step {
 public:
  ConcatStep(Concat concat, const std::vector<StepInput>& in, const StepOutput& output)
      : c_(std::move(concat)),
        set_(kernels()),
        storage_(output.storage()),
        item_(static_cast<int64_t>(size_of(type_of(storage_)))) {
    for (const StepInput& i : in) inputs.push_back(i.tensor);
    outputs = {output.tensor};
    info.kernel = "concat";
    size_t next = 0;
    for (const ConcatPart& part : c_.parts) {
      Source s{part.row, row_, c_.along_channels ? part.row : c_.channels};
      if (!part.constant) {
        s.input = in[next++];
        s.rows.emplace(set_, *s.input, s.channels);
        if (output.quant) s.params = params_of(*output.quant, c_.along_channels ? row_ : 0, s.channels);
        if (!same_storage(s) || storage_ == StorageType::f16) largest_ = std::max(largest_, pixels_at_once(s) * s.channels);
      }
      row_ += part.row;
      sources_.push_back(std::move(s));
    }
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const int64_t block =
        std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, row_ * item_));  // rows that stay in the first cache
    for_each_chunk(context.threads, c_.outer, block, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t first = begin; first < end; first += block)
        for (size_t i = 0; i < sources_.size(); ++i) join(context, i, first, std::min(block, end - first), ws);
    });
  }

 private:
  struct Source {
    int64_t row, first;  // elements of a row of the output, and the first of them
    int64_t channels;    // of a pixel
    std::optional<StepInput> input = {};
    std::optional<RowSource> rows = {};
    PackedQuantizeParams params = {};  // of its channels, where the output is q8
  };
  static constexpr int64_t kChunkBytes = 32 * 1024;

  struct Workspace {
    float* rows;         // of a part
    uint8_t* converted;  // without gaps: rows of few channels are converted faster so
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float* rows = alloc.floats(largest_);
    return {rows, alloc.bytes(largest_ * item_)};
  }

  PackedQuantizeParams params_of(const QuantizeSpec& spec, int64_t first, int64_t channels) const {
    std::vector<float> factors;
    if (!spec.factors.empty()) factors.assign(spec.factors.begin() + first, spec.factors.begin() + first + channels);
    return PackedQuantizeParams(spec.quant, factors, channels, set_.panel);
  }
  bool same_storage(const Source& s) const { return !s.input || s.input->storage == storage_; }
  bool copies(const RunContext& context, const Source& s) const {
    const bool fp16 = storage_ == StorageType::f16;  // have a scale
    return same_storage(s) && !(fp16 && context.fp16_scale(s.input->tensor) != context.fp16_scale(outputs[0]));
  }
  static int64_t pixels_at_once(const Source& s) {
    return std::max<int64_t>(1, kChunkBytes / (std::max<int64_t>(1, s.channels) * static_cast<int64_t>(sizeof(float))));
  }

  // Rows [first, first + count) of part i.
  void join(const RunContext& context, size_t i, int64_t first, int64_t count, const Workspace& ws) const {
    const Source& s = sources_[i];
    const int64_t element = first * row_ + s.first;
    if (copies(context, s)) {
      const char* from = s.input ? static_cast<const char*>(context.raw(s.input->tensor))
                                 : reinterpret_cast<const char*>(c_.parts[i].constant->data<float>());
      copy_rows(from + first * s.row * item_, s.row * item_, count, row_ * item_, out(context, element));
    } else if (c_.along_channels) {
      convert(context, s, first, count, element, row_, ws);
    } else {
      const int64_t pixels = s.row / s.channels;
      for (int64_t r = 0; r < count; ++r) convert(context, s, (first + r) * pixels, pixels, element + r * row_, s.channels, ws);
    }
  }

  // Pixels [pixel, pixel + pixels) of a part, which lie `stride` elements apart from `element` of the output on.
  void convert(const RunContext& context, const Source& s, int64_t pixel, int64_t pixels, int64_t element, int64_t stride,
               const Workspace& ws) const {
    const int64_t block = pixels_at_once(s);
    for (int64_t done = 0; done < pixels; done += block) {
      const int64_t n = std::min(block, pixels - done);
      const float* rows = s.rows->rows(context, pixel + done, n, ws.rows);
      char* const to = out(context, element + done * stride);
      const void* converted = rows;
      if (storage_ != StorageType::f32) {
        void* const place = stride == s.channels ? static_cast<void*>(to) : ws.converted;
        store(context, s, rows, n, place);
        converted = place;
      }
      if (converted != to) copy_rows(static_cast<const char*>(converted), s.channels * item_, n, stride * item_, to);
    }
  }

  // n pixels of a part as they are stored, without gaps.
  void store(const RunContext& context, const Source& s, const float* rows, int64_t n, void* to) const {
    if (storage_ == StorageType::q8)
      set_.quantize(rows, s.channels, n, s.channels, s.params.params(), static_cast<uint8_t*>(to), s.channels);
    else if (storage_ == StorageType::bf16)
      set_.f32_to_bf16(rows, s.channels, n, s.channels, static_cast<uint16_t*>(to), s.channels);
    else
      set_.f32_to_f16(rows, s.channels, n, s.channels, context.fp16_scale(outputs[0]), static_cast<uint16_t*>(to), s.channels);
  }

  char* out(const RunContext& context, int64_t element) const {
    return static_cast<char*>(context.tensors[static_cast<size_t>(outputs[0])].raw()) + element * item_;
  }

  const Concat c_;
  const KernelSet& set_;
  const StorageType storage_;
  const int64_t item_;  // bytes of an element of the output
  std::vector<Source> sources_;
  int64_t row_ = 0, largest_ = 0;  // elements of a row of the output; of a part that is converted at once
};

}  // namespace

std::unique_ptr<Step> make_concat(Concat concat, const std::vector<StepInput>& inputs, const StepOutput& output) {
  return std::make_unique<ConcatStep>(std::move(concat), inputs, output);
}

}  // namespace cytodet::exec
