#include "exec/steps/onednn_steps.h"

#include <dnnl.hpp>
#include <unordered_map>

#include "core/error.h"

namespace cytodet::exec {
namespace {

using dnnl::memory;

// The instruction sets that oneDNN may use are capped as those of our own kernels are.
void cap_instruction_set() {
  const auto cap = select_for_isa<std::optional<dnnl::cpu_isa>>({
      {Isa::baseline, dnnl::cpu_isa::sse41},
      {Isa::avx2, dnnl::cpu_isa::avx2},
      {Isa::avx2_vnni, dnnl::cpu_isa::avx2_vnni},
      {Isa::avx512, dnnl::cpu_isa::avx512_core},
      {Isa::avx512_vnni, dnnl::cpu_isa::avx512_core_vnni},
      {Isa::avx512_bf16, std::nullopt},
  });
  if (cap) dnnl::set_max_cpu_isa(*cap);
}

dnnl::engine& engine() {
  static dnnl::engine e = [] {
    cap_instruction_set();
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return e;
}

// How f32 maps [n, h, w, c] and volumes [n, d, h, w, c] lie in memory: channels innermost.
memory::desc channels_last(const Shape& s) {
  if (s.size() == 5) return {{s[0], s[4], s[1], s[2], s[3]}, memory::data_type::f32, memory::format_tag::ndhwc};
  return {{s[0], s[3], s[1], s[2]}, memory::data_type::f32, memory::format_tag::nhwc};
}

struct Argument {
  int name;    // DNNL_ARG_*
  int tensor;  // id; -1: `fixed`
  memory::desc desc;
  std::shared_ptr<memory> fixed;
};

// One primitive; tensors are bound at run time, so that one step serves any number of runners.
class PrimitiveStep : public Step {
 public:
  PrimitiveStep(dnnl::primitive primitive, std::vector<Argument> arguments, const memory::desc& scratchpad, const char* kernel)
      : primitive_(std::move(primitive)), arguments_(std::move(arguments)), scratchpad_(scratchpad) {
    info.kernel = kernel;
    scratch_bytes = static_cast<int64_t>(scratchpad_.get_size());
    for (const Argument& a : arguments_)
      if (a.tensor >= 0) (a.name == DNNL_ARG_DST ? outputs : inputs).push_back(a.tensor);
  }
  void run(RunContext& context) const override {
    dnnl::stream stream(engine());
    std::unordered_map<int, memory> bound;
    for (const Argument& a : arguments_) {
      if (a.tensor < 0)
        bound.emplace(a.name, *a.fixed);
      else
        bound.emplace(a.name, memory(a.desc, engine(), context.tensors[static_cast<size_t>(a.tensor)].raw()));
    }
    bound.emplace(DNNL_ARG_SCRATCHPAD, memory(scratchpad_, engine(), context.scratch));
    primitive_.execute(stream, bound);
    stream.wait();
  }

 private:
  dnnl::primitive primitive_;
  std::vector<Argument> arguments_;
  memory::desc scratchpad_;
};

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

// Calls make(); what oneDNN refuses becomes an Error.
template <class Make>
std::unique_ptr<Step> checked(Make make) {
  try {
    return make();
  } catch (const dnnl::error& e) {
    throw Error("", std::string("oneDNN cannot run it: ") + e.what());
  }
}

dnnl::post_ops activation(Act act) {
  dnnl::post_ops ops;
  if (act == Act::relu) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0, 0);
  if (act == Act::relu6) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_clip, 0, 6);
  if (act == Act::sigmoid) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_logistic, 0, 0);
  if (act == Act::swish) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_swish, 1, 0);
  if (act == Act::hard_swish) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_hardswish, 0, 0);
  return ops;
}

memory::dims filter_dims(const ConvShape& s) {
  if (s.is_volume()) return {s.in_c, s.out_c, s.depth.kernel, s.kernel_h, s.kernel_w};
  return {s.in_c, s.out_c, s.kernel_h, s.kernel_w};
}

// Numbers along height and width, of a volume along depth too.
memory::dims along(const ConvShape& s, int64_t depth, int64_t height, int64_t width) {
  return s.is_volume() ? memory::dims{depth, height, width} : memory::dims{height, width};
}

// The filter in the layout that the primitive asks for.
std::shared_ptr<memory> packed_filter(const Deconv& d, const memory::desc& wanted) {
  const ConvShape& s = d.forward;
  const int64_t column = s.in_c * s.out_c, row = s.kernel_w * column;
  memory::dims strides{s.out_c, 1, row, column};
  if (s.is_volume()) strides.insert(strides.begin() + 2, s.kernel_h * row);
  const memory::desc given(filter_dims(s), memory::data_type::f32, strides);
  memory raw(given, engine(), const_cast<void*>(d.filter.raw()));
  auto packed = std::make_shared<memory>(wanted, engine());
  dnnl::stream stream(engine());
  dnnl::reorder(raw, *packed).execute(stream, raw, *packed);
  stream.wait();
  return packed;
}

std::unique_ptr<Step> deconv_step(const Deconv& d, int input, int output) {
  const ConvShape& s = d.forward;
  const ConvDepth& z = s.depth;
  Shape from{s.batch, s.out_h, s.out_w, s.out_c}, to{s.batch, s.in_h, s.in_w, s.in_c};
  if (s.is_volume()) {
    from.insert(from.begin() + 1, z.out);
    to.insert(to.begin() + 1, z.in);
  }
  const memory::desc src = channels_last(from), dst = channels_last(to);
  const memory::desc any(filter_dims(s), memory::data_type::f32, memory::format_tag::any);
  const memory::desc bias({s.in_c}, memory::data_type::f32, memory::format_tag::x);
  dnnl::primitive_attr attr = user_scratchpad();
  attr.set_post_ops(activation(d.act));
  const dnnl::deconvolution_forward::desc desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct, src,
                                               any, bias, dst, along(s, z.stride, s.stride_h, s.stride_w),
                                               along(s, z.pad_front, s.pad_top, s.pad_left),
                                               along(s, z.pad_back, s.pad_bottom, s.pad_right));
  const dnnl::deconvolution_forward::primitive_desc pd(desc, attr, engine());
  const std::shared_ptr<memory> packed = packed_filter(d, pd.weights_desc());
  auto bias_memory = std::make_shared<memory>(bias, engine());
  std::copy(d.bias.begin(), d.bias.end(), static_cast<float*>(bias_memory->get_data_handle()));
  return std::make_unique<PrimitiveStep>(dnnl::deconvolution_forward(pd),
                                         std::vector<Argument>{{DNNL_ARG_SRC, input, src, {}},
                                                               {DNNL_ARG_WEIGHTS, -1, pd.weights_desc(), packed},
                                                               {DNNL_ARG_BIAS, -1, bias, bias_memory},
                                                               {DNNL_ARG_DST, output, dst, {}}},
                                         pd.scratchpad_desc(), "onednn_deconv");
}

}  // namespace

std::unique_ptr<Step> make_onednn_deconv(const Deconv& deconv, int input, int output) {
  return checked([&] { return deconv_step(deconv, input, output); });
}

}  // namespace cytodet::exec
