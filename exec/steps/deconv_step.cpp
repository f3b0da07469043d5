#include "exec/steps/deconv_step.h"

#include <algorithm>

#include "exec/kernels/pack_weights.h"

namespace cytodet::exec {
namespace {

// A row of the input becomes kernel_h rows of the output, of a volume in each of kernel_d planes. Each is a matrix product: input
// pixel x, [k] values, times [k][kernel_w * channels] gives the output pixels [x * kernel_w, (x + 1) * kernel_w), which lie side
// by side in NHWC.
class DeconvStep : public Step {
 public:
  DeconvStep(const Deconv& d, int input, int output)
      : height_(d.forward.out_h),
        rows_(d.forward.out_planes() * height_),
        width_(d.forward.out_w),
        k_(d.forward.out_c),
        n_(int64_t{d.forward.kernel_w} * d.forward.in_c),
        kernel_d_(d.forward.depth.kernel),
        kernel_h_(d.forward.kernel_h),
        act_(d.act),
        set_(kernels()),
        matrix_size_(packed_f32_size(k_, n_, set_.panel)),
        weights_(kernel_d_ * kernel_h_ * matrix_size_),
        bias_(panels() * set_.panel) {
    inputs = {input};
    outputs = {output};
    info.kernel = "deconv";
    info.macs = rows_ * width_ * k_ * n_ * kernel_d_ * kernel_h_;
    info.bytes = d.filter.size() * 4;
    for (int64_t i = 0; i < n_; ++i) bias_.data()[i] = d.bias[static_cast<size_t>(i % d.forward.in_c)];
    std::vector<float> matrix(static_cast<size_t>(k_ * n_));
    for (int64_t tap = 0; tap < kernel_d_ * kernel_h_; ++tap) {
      const float* filter = d.filter.data<float>() + tap * k_ * n_;  // [n][k]
      for (int64_t i = 0; i < n_; ++i)
        for (int64_t j = 0; j < k_; ++j) matrix[static_cast<size_t>(j * n_ + i)] = filter[i * k_ + j];
      pack_f32_weights(matrix.data(), k_, n_, set_.panel, weights_.data() + tap * matrix_size_);
    }
  }

  void run(RunContext& context) const override {
    const float* in = context.in(inputs[0]);
    float* out = context.out(outputs[0]);
    for_each_chunk(context.threads, rows_, 1, [&](int64_t begin, int64_t end, int) {
      // A panel of the weights stays in the cache while the rows pass over it.
      for (int64_t tap = 0; tap < kernel_d_ * kernel_h_; ++tap)
        for (int64_t p = 0; p < panels(); ++p)
          for (int64_t row = begin; row < end; ++row)
            set_.gemm(in + row * width_ * k_, k_, width_, {weights_.data() + tap * matrix_size_, k_, n_}, p, p + 1,
                      out + out_row(row, tap) * width_ * n_, n_, {bias_.data(), act_});
    });
  }

 private:
  int64_t panels() const { return (n_ + set_.panel - 1) / set_.panel; }

  // The output row, counted through all planes, that tap (kz, ky) makes of an input row.
  int64_t out_row(int64_t row, int64_t tap) const {
    const int64_t plane = row / height_ * kernel_d_ + tap / kernel_h_, y = row % height_ * kernel_h_ + tap % kernel_h_;
    return plane * height_ * kernel_h_ + y;
  }

  int64_t height_, rows_, width_, k_, n_, kernel_d_, kernel_h_;
  Act act_;
  const KernelSet& set_;
  int64_t matrix_size_;
  FloatBuffer weights_, bias_;  // [kernel_h] matrices; [panels * panel]
};

}  // namespace

bool is_without_overlap(const ConvShape& s) {
  const ConvDepth& d = s.depth;
  const auto whole = [](int64_t in, int64_t out, int kernel, int stride, int before, int after) {
    return kernel == stride && in == out * stride && before == 0 && after == 0;
  };
  return whole(s.in_h, s.out_h, s.kernel_h, s.stride_h, s.pad_top, s.pad_bottom) &&
         whole(s.in_w, s.out_w, s.kernel_w, s.stride_w, s.pad_left, s.pad_right) &&
         whole(d.in, d.out, d.kernel, d.stride, d.pad_front, d.pad_back);
}

std::unique_ptr<Step> make_deconv(const Deconv& deconv, int input, int output) {
  return std::make_unique<DeconvStep>(deconv, input, output);
}

}  // namespace cytodet::exec
