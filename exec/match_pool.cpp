#include "exec/match.h"

namespace cytodet {
namespace {

// Max over windows of height and width, NHWC.
class MaxPoolStep : public Step {
 public:
  MaxPoolStep(const ConvShape& shape, int input, int output) : s_(shape), set_(kernels()) {
    inputs = {input};
    outputs = {output};
    info.kernel = "max_pool";
  }

  void run(RunContext& context) const override {
    const Map in = context.map(inputs[0]);
    if (in.form == Form::codes)
      pool(context.threads, in.codes(), context.codes_out(outputs[0]), set_.max_pool_codes);
    else
      pool(context.threads, in.floats(), context.out(outputs[0]), set_.max_pool_row);
  }

 private:
  template <class T>
  void pool(int threads, const T* in, T* out, void (*pool_row)(const PoolRow<T>&)) const {
    for_each_chunk(threads, s_.batch * s_.out_h, 1, [&](int64_t b, int64_t e, int) {
      for (int64_t row = b; row < e; ++row) {
        const int64_t n = row / s_.out_h, top = row % s_.out_h * s_.stride_h - s_.pad_top;
        const T* rows[64];
        PoolRow<T> job;
        job.count = 0;
        for (int64_t y = std::max<int64_t>(0, top); y < std::min(s_.in_h, top + s_.kernel_h); ++y)
          rows[job.count++] = in + (n * s_.in_h + y) * s_.in_w * s_.in_c;
        job.rows = rows;
        job.kernel_w = s_.kernel_w;
        job.stride = s_.stride_w;
        job.pad = s_.pad_left;
        job.in_w = s_.in_w;
        job.width = s_.out_w;
        job.channels = s_.in_c;
        job.out = out + row * s_.out_w * s_.in_c;
        pool_row(job);
      }
    });
  }

  ConvShape s_;
  const KernelSet& set_;
};

}  // namespace

std::optional<ConvShape> pool_shape(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.inputs.size() != 1 || low.constant(n.inputs[0])) return {};
  const AttrList k = n.attr_or("ksize", AttrList{});
  if (k.ints.size() != 4 || k.ints[0] != 1 || k.ints[3] != 1 || k.ints[1] > 64 || k.ints[2] > 64) return {};
  const Tensor window = Tensor::view(DType::f32, {k.ints[1], k.ints[2], 1, 1}, nullptr);
  std::optional<ConvShape> s = conv_shape(low, id, n.inputs[0], {id, 0}, window);
  const auto inside = [](int64_t in, int64_t out, int kernel, int stride, int before) {
    return before < kernel && (out - 1) * stride - before < in;
  };
  if (!s || !inside(s->in_h, s->out_h, s->kernel_h, s->stride_h, s->pad_top) ||
      !inside(s->in_w, s->out_w, s->kernel_w, s->stride_w, s->pad_left))
    return {};
  return s;
}

bool match_max_pool(Lowering& low, NodeId id) {
  if (low.graph.node(id).op != "MaxPool") return false;
  const std::optional<ConvShape> shape = pool_shape(low, id);
  if (!shape) return false;
  claim(low, id, {low.graph.node(id).inputs[0]},
        [s = *shape](const std::vector<int>& in, int out) { return std::make_unique<MaxPoolStep>(s, in[0], out); });
  low.layers.back().moves = Moves::in_channels;
  return true;
}

}  // namespace cytodet
