#include "exec/steps/grouped_step.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "exec/kernels/pack_weights.h"
#include "exec/steps/quantized_groups_step.h"

namespace cytodet::exec {
namespace {

// Row by row of the result: the patches of a group are gathered and multiplied by its weights.
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
        k_(s_.taps() * group_in_) {
    if (in.size() > 1) residual_.emplace(set_, in[1], s_.out_c);
    for (const StepInput& input : in) inputs.push_back(input.tensor);
    outputs = {output.tensor};
    info.kernel = "grouped_conv";
    info.macs = s_.batch * s_.out_h * s_.out_w * s_.out_c * k_;
    info.bytes = conv.weights.size() * 4;
    pack(conv);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    for_each_chunk(context.threads, s_.batch * s_.out_h, 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      std::vector<const float*> rows(static_cast<size_t>(s_.kernel_h));
      for (int64_t row = begin; row < end; ++row) run_row(context, row, ws, rows);
    });
  }

 private:
  struct Workspace {
    float *rows, *patches, *residual, *results;
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float* rows = alloc.floats(s_.kernel_h * source_.scratch(s_.in_w));
    float* patches = alloc.floats(s_.out_w * k_);
    float* residual = alloc.floats(residual_ ? residual_->scratch(s_.out_w) : 0);
    return {rows, patches, residual, alloc.floats(results_.scratch(s_.out_w))};
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

  void run_row(const RunContext& context, int64_t row, const Workspace& ws, std::vector<const float*>& rows) const {
    const int64_t image = row / s_.out_h, top = row % s_.out_h * s_.stride_h - s_.pad_top, pixel = row * s_.out_w;
    for (int64_t ky = 0; ky < s_.kernel_h; ++ky) {
      const int64_t y = top + ky * s_.dilation_h;
      const bool inside = y >= 0 && y < s_.in_h;
      rows[static_cast<size_t>(ky)] =
          inside ? source_.values(context, (image * s_.in_h + y) * s_.in_w, s_.in_w, ws.rows + ky * source_.scratch(s_.in_w))
                 : nullptr;
    }
    const float* residual = residual_ ? residual_->values(context, pixel, s_.out_w, ws.residual) : nullptr;
    float* out = results_.floats(context, pixel, ws.results);
    for (int64_t g = 0; g < groups_; ++g) {
      fill_patches_of(g, rows, ws.patches);
      Epilogue end;
      end.bias = bias_.data() + g * padded();
      end.act = act_;
      end.residual = residual ? residual + g * group_out_ : nullptr;
      end.residual_stride = s_.out_c;
      end.residual_first = residual_first_;
      set_.gemm(ws.patches, k_, s_.out_w, {weights_.data() + g * packed_f32_size(k_, group_out_, set_.panel), k_, group_out_}, 0,
                panels(), out + g * group_out_, s_.out_c, end);
    }
    results_.store(context, pixel, s_.out_w, ws.results);
  }

  // patches[out_w][kernel_h][kernel_w][in_c / groups] of the rows that the result's row reads; zeros outside.
  void fill_patches_of(int64_t g, const std::vector<const float*>& rows, float* patches) const {
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
  void fill_patches_of(int64_t g, const std::vector<const float*>& rows, float* patches, Channels channels) const {
    const size_t bytes = static_cast<size_t>(channels) * sizeof(float);
    for (int64_t x = 0; x < s_.out_w; ++x)
      for (const float* row : rows) {
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
  FloatBuffer weights_, bias_;
};

}  // namespace

std::unique_ptr<Step> make_grouped_conv(const GroupedConv& conv, const std::vector<StepInput>& inputs, const StepOutput& output) {
  if (conv.quant) return make_quantized_groups(conv, inputs, output);
  return std::make_unique<GroupedConvStep>(conv, inputs, output);
}

}  // namespace cytodet::exec
