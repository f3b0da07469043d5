#include "exec/steps/grouped_step.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "exec/kernels/pack_weights.h"
#include "exec/steps/group_rows.h"
#include "exec/steps/quantized_groups_step.h"
#include "exec/steps/row_blocks.h"

namespace cytodet::exec {
namespace {

// Computes a block of rows of the result at a time, enough of them for tall products: the patches of each group are gathered and
// multiplied by its weights. Groups that KernelSet::grouped_row takes are computed by it instead, all groups of a row at once.
class GroupedConvStep : public Step {
 public:
  GroupedConvStep(const GroupedConv& conv, const std::vector<StepInput>& in, const StepOutput& output)
      : s_(conv.shape),
        groups_(conv.groups),
        act_(conv.act),
        residual_first_(conv.residual_first),
        set_(kernels()),
        source_(set_, in[0], s_.in_c),
        results_(set_, output, s_.out_c),
        group_in_(s_.in_c / groups_),
        group_out_(s_.out_c / groups_),
        k_(s_.taps() * group_in_),
        by_rows_(in.size() == 1 && takes_group_rows(set_, conv)) {
    if (in.size() > 1) residual_.emplace(set_, in[1], s_.out_c);
    for (const StepInput& input : in) inputs.push_back(input.tensor);
    outputs = {output.tensor};
    info.kernel = "grouped_conv";
    info.macs = s_.batch * s_.out_h * s_.out_w * s_.out_c * k_;
    info.bytes = conv.weights.size() * 4;
    if (by_rows_)
      pack_rows(conv);
    else
      pack(conv);
    block_ = std::clamp<int64_t>(kBlockPixels / std::max<int64_t>(1, s_.out_w), 1, s_.out_h);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const RowBlocks blocks{s_.batch, s_.out_h, block_};
    for_each_chunk(context.threads, blocks.count(), 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      std::vector<const float*> rows;
      for (int64_t b = begin; b < end; ++b) run_rows(context, blocks.at(b), ws, rows);
    });
  }

 private:
  static constexpr int64_t kBlockPixels = 56;

  struct Workspace {
    float *rows, *patches, *residual, *results;
    const float** pixels;  // GroupedRow::pixels
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    const int64_t pixels = block_ * s_.out_w;
    float* rows = alloc.floats(s_.rows_read(block_) * source_.scratch(s_.in_w));
    float* patches = alloc.floats(by_rows_ ? 0 : pixels * k_);
    float* residual = alloc.floats(residual_ ? residual_->scratch(pixels) : 0);
    float* results = alloc.floats(results_.scratch(pixels));
    const int64_t pointers = by_rows_ ? s_.taps() * s_.out_w * static_cast<int64_t>(sizeof(float*)) : 0;
    return {rows, patches, residual, results, reinterpret_cast<const float**>(alloc.bytes(pointers))};
  }

  int64_t panels() const { return (group_out_ + set_.panel - 1) / set_.panel; }
  int64_t padded() const { return panels() * set_.panel; }  // output channels of a group, to whole panels

  void pack(const GroupedConv& conv) {
    weights_ = FloatBuffer(groups_ * packed_f32_size(k_, group_out_, set_.panel));
    bias_ = FloatBuffer(groups_ * padded());
    std::vector<float> matrix(static_cast<size_t>(k_ * group_out_));
    const float* w = conv.weights.data<float>();
    for (int64_t g = 0; g < groups_; ++g) {
      for (int64_t i = 0; i < k_; ++i)
        std::copy_n(w + i * s_.out_c + g * group_out_, group_out_, matrix.begin() + i * group_out_);
      pack_f32_weights(matrix.data(), k_, group_out_, set_.panel,
                       weights_.data() + g * packed_f32_size(k_, group_out_, set_.panel));
      std::copy_n(conv.bias.begin() + g * group_out_, group_out_, bias_.data() + g * padded());
    }
  }

  void pack_rows(const GroupedConv& conv) {
    weights_ = pack_group_weights(set_, conv);
    bias_ = FloatBuffer((s_.out_c + set_.panel - 1) / set_.panel * set_.panel);
    std::copy(conv.bias.begin(), conv.bias.end(), bias_.data());
    outside_ = FloatBuffer(s_.in_c);
  }

  // A block of rows of the result; `rows` gets the rows of the map that they read, null outside.
  void run_rows(const RunContext& context, const RowBlock& block, const Workspace& ws, std::vector<const float*>& rows) const {
    const auto [image, y, count] = block;
    const int64_t top = y * s_.stride_h - s_.pad_top, pixel = (image * s_.out_h + y) * s_.out_w, pixels = count * s_.out_w;
    rows.assign(static_cast<size_t>(s_.rows_read(count)), nullptr);
    for (int64_t i = 0; i < s_.rows_read(count); ++i)
      if (top + i >= 0 && top + i < s_.in_h)
        rows[static_cast<size_t>(i)] =
            source_.values(context, (image * s_.in_h + top + i) * s_.in_w, s_.in_w, ws.rows + i * source_.scratch(s_.in_w));
    const float* residual = residual_ ? residual_->values(context, pixel, pixels, ws.residual) : nullptr;
    float* out = results_.floats(context, pixel, ws.results);
    for (int64_t r = 0; by_rows_ && r < count; ++r) make_row(rows.data() + r * s_.stride_h, ws, out + r * s_.out_w * s_.out_c);
    for (int64_t g = 0; !by_rows_ && g < groups_; ++g) {
      for (int64_t r = 0; r < count; ++r) fill_patches_of(g, rows.data() + r * s_.stride_h, ws.patches + r * s_.out_w * k_);
      Epilogue end;
      end.bias = bias_.data() + g * padded();
      end.act = act_;
      end.residual = residual ? residual + g * group_out_ : nullptr;
      end.residual_stride = s_.out_c;
      end.residual_first = residual_first_;
      set_.gemm(ws.patches, k_, pixels, {weights_.data() + g * packed_f32_size(k_, group_out_, set_.panel), k_, group_out_}, 0,
                panels(), out + g * group_out_, s_.out_c, end);
    }
    results_.store(context, pixel, pixels, ws.results);
  }

  // A row of the result, whose windows begin in rows[0].
  void make_row(const float* const* rows, const Workspace& ws, float* out) const {
    GroupedRow<float> job = group_row<float>(s_, group_in_, rows, outside_.data(), ws.pixels);
    job.weights = weights_.data();
    job.bias = bias_.data();
    job.act = act_;
    job.out = out;
    set_.grouped_row(job);
  }

  // patches[out_w][kernel_h][kernel_w][in_c / groups] of a row of the result whose windows begin in rows[0]; zeros outside.
  void fill_patches_of(int64_t g, const float* const* rows, float* patches) const {
    switch (group_in_) {  // copies of a known length are a move or two
      case 4:
        return fill_patches_of(g, rows, patches, std::integral_constant<int64_t, 4>());
      case 8:
        return fill_patches_of(g, rows, patches, std::integral_constant<int64_t, 8>());
      case 16:
        return fill_patches_of(g, rows, patches, std::integral_constant<int64_t, 16>());
      default:
        return fill_patches_of(g, rows, patches, group_in_);
    }
  }
  template <class Channels>
  void fill_patches_of(int64_t g, const float* const* rows, float* patches, Channels channels) const {
    const size_t bytes = static_cast<size_t>(channels) * sizeof(float);
    for (int64_t x = 0; x < s_.out_w; ++x)
      for (int64_t ky = 0; ky < s_.kernel_h; ++ky) {
        const float* row = rows[ky * s_.dilation_h];
        const int64_t first = x * s_.stride_w - s_.pad_left;
        for (int64_t kx = 0; kx < s_.kernel_w; ++kx, patches += channels) {
          const int64_t column = first + kx * s_.dilation_w;
          if (row && column >= 0 && column < s_.in_w)
            std::memcpy(patches, row + column * s_.in_c + g * channels, bytes);
          else
            std::memset(patches, 0, bytes);
        }
      }
  }

  ConvShape s_;
  int64_t groups_;
  Act act_;
  bool residual_first_;
  const KernelSet& set_;
  RowSource source_;
  std::optional<RowSource> residual_;
  ResultRows results_;
  int64_t group_in_, group_out_, k_;
  int64_t block_ = 1;  // rows of the result
  FloatBuffer weights_, bias_;
  const bool by_rows_;   // by KernelSet::grouped_row
  FloatBuffer outside_;  // a pixel of zeros, for these
};

}  // namespace

std::unique_ptr<Step> make_grouped_conv(const GroupedConv& conv, const std::vector<StepInput>& inputs, const StepOutput& output) {
  if (conv.quant) return make_quantized_groups(conv, inputs, output);
  return std::make_unique<GroupedConvStep>(conv, inputs, output);
}

}  // namespace cytodet::exec
