// Steps on oneDNN primitives, all NHWC or plain row-major.
#include <dnnl.hpp>
#include <unordered_map>

#include "core/error.h"
#include "exec/lower/match.h"

namespace cytodet::exec {
namespace {

using dnnl::memory;

dnnl::engine& engine() {
  static dnnl::engine e = [] {
    switch (isa()) {
      case Isa::baseline:
        dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41);
        break;
      case Isa::avx2:
        dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
        break;
      case Isa::avx2_vnni:
        dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2_vnni);
        break;
      case Isa::avx512:
        dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core);
        break;
      case Isa::avx512_vnni:
        dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core_vnni);
        break;
      case Isa::avx512_bf16:
        break;
    }
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return e;
}

memory::desc plain(const Shape& shape) {
  memory::dims dims(shape.begin(), shape.end()), strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return {dims, memory::data_type::f32, strides};
}
memory::desc nhwc(const Shape& s) { return {{s[0], s[3], s[1], s[2]}, memory::data_type::f32, memory::format_tag::nhwc}; }

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

void claim(Lowering& low, NodeId id, Value output, std::vector<Value> inputs, std::vector<NodeId> nodes,
           std::function<std::unique_ptr<Step>(const std::vector<int>&, int)> make) {
  Layer layer;
  layer.root = output.node;
  layer.output = output;
  layer.inputs = std::move(inputs);
  layer.make = [make = std::move(make), name = low.graph.node(id).name](const LayerIo& io) {
    try {
      return make(io.tensors(), io.output.tensor);
    } catch (const dnnl::error& e) {
      throw Error("node " + name, std::string("oneDNN cannot run it: ") + e.what());
    }
  };
  low.take(nodes);
  low.layers.push_back(std::move(layer));
}

}  // namespace

bool match_onednn_softmax(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Softmax") return false;
  const Shape* s = low.float_shape(n.inputs[0]);
  if (!s || s->empty() || s->size() > 6 || elements(*s) == 0 || low.constant(n.inputs[0]) || !low.float_shape({id, 0}))
    return false;
  claim(low, id, {id, 0}, {n.inputs[0]}, {id}, [shape = *s](const std::vector<int>& in, int out) -> std::unique_ptr<Step> {
    memory::desc d = plain(shape);
    dnnl::softmax_forward::desc desc(dnnl::prop_kind::forward_inference, d, static_cast<int>(shape.size()) - 1);
    dnnl::softmax_forward::primitive_desc pd(desc, user_scratchpad(), engine());
    return std::make_unique<PrimitiveStep>(dnnl::softmax_forward(pd),
                                           std::vector<Argument>{{DNNL_ARG_SRC, in[0], d, {}}, {DNNL_ARG_DST, out, d, {}}},
                                           pd.scratchpad_desc(), "onednn_softmax");
  });
  return true;
}

bool match_onednn_matmul(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  bool batch = n.op == "BatchMatMul" || n.op == "BatchMatMulV2" || n.op == "BatchMatMulV3";
  if ((!batch && n.op != "MatMul") || n.inputs.size() != 2) return false;
  const Shape *a = low.float_shape(n.inputs[0]), *b = low.float_shape(n.inputs[1]), *c = low.float_shape({id, 0});
  if (!a || !b || !c || a->size() != b->size() || a->size() < 2 || a->size() > 5 || elements(*c) == 0 || elements(*a) == 0)
    return false;
  if (low.constant(n.inputs[0]) || low.constant(n.inputs[1]) || !std::equal(a->begin(), a->end() - 2, b->begin())) return false;
  bool ta = n.attr_or(batch ? "adj_x" : "transpose_a", false), tb = n.attr_or(batch ? "adj_y" : "transpose_b", false);
  claim(
      low, id, {id, 0}, n.inputs, {id},
      [a = *a, b = *b, c = *c, ta, tb](const std::vector<int>& in, int out) -> std::unique_ptr<Step> {
        auto side = [](const Shape& s, bool transposed) {
          memory::desc d = plain(s);
          if (!transposed) return d;
          std::vector<int> order(s.size());
          for (size_t i = 0; i < s.size(); ++i) order[i] = static_cast<int>(i);
          std::swap(order[s.size() - 1], order[s.size() - 2]);
          return d.permute_axes(order);
        };
        memory::desc da = side(a, ta), db = side(b, tb), dc = plain(c);
        dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(da, db, dc), user_scratchpad(), engine());
        return std::make_unique<PrimitiveStep>(
            dnnl::matmul(pd),
            std::vector<Argument>{{DNNL_ARG_SRC, in[0], da, {}}, {DNNL_ARG_WEIGHTS, in[1], db, {}}, {DNNL_ARG_DST, out, dc, {}}},
            pd.scratchpad_desc(), "onednn_matmul");
      });
  return true;
}

// Conv2DBackpropInput with a constant filter: a deconvolution, with bias and activation as post-ops.
bool match_onednn_deconv(Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  if (n.op != "Conv2DBackpropInput" || n.inputs.size() != 3) return false;
  const Tensor* filter = low.constant(n.inputs[1]);
  if (!filter || low.constant(n.inputs[2])) return false;
  // The geometry is that of the convolution from this node's output to its gradient input.
  std::optional<ConvShape> s = conv_shape(low, id, {id, 0}, n.inputs[2], *filter);
  if (!s || s->dilation_h != 1 || s->dilation_w != 1 || filter->dim(2) != s->in_c || filter->dim(3) != s->out_c) return false;
  require_finite(*filter, n.name);
  Tail tail = absorb_tail(low, {id, 0}, s->in_c, false);
  std::vector<NodeId> nodes = tail.nodes;
  nodes.push_back(id);
  claim(low, id, tail.output, {n.inputs[2]}, nodes,
        [s = *s, filter = *filter, tail](const std::vector<int>& in, int out) -> std::unique_ptr<Step> {
          memory::desc src = nhwc({s.batch, s.out_h, s.out_w, s.out_c}), dst = nhwc({s.batch, s.in_h, s.in_w, s.in_c});
          memory::dims filter_dims{s.in_c, s.out_c, s.kernel_h, s.kernel_w};
          memory::desc any(filter_dims, memory::data_type::f32, memory::format_tag::any);
          memory::desc given(filter_dims, memory::data_type::f32,
                             memory::dims{s.out_c, 1, int64_t{s.kernel_w} * s.in_c * s.out_c, s.in_c * s.out_c});
          memory::desc bias({s.in_c}, memory::data_type::f32, memory::format_tag::x);
          dnnl::primitive_attr attr = user_scratchpad();
          dnnl::post_ops ops;
          if (tail.act == Act::relu) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0, 0);
          if (tail.act == Act::relu6) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_clip, 0, 6);
          if (tail.act == Act::sigmoid) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_logistic, 0, 0);
          if (tail.act == Act::swish) ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_swish, 1, 0);
          attr.set_post_ops(ops);
          dnnl::deconvolution_forward::desc desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct, src,
                                                 any, bias, dst, {s.stride_h, s.stride_w}, {s.pad_top, s.pad_left},
                                                 {s.pad_bottom, s.pad_right});
          dnnl::deconvolution_forward::primitive_desc pd(desc, attr, engine());
          memory raw(given, engine(), const_cast<void*>(filter.raw()));
          auto packed = std::make_shared<memory>(pd.weights_desc(), engine());
          dnnl::stream stream(engine());
          dnnl::reorder(raw, *packed).execute(stream, raw, *packed);
          stream.wait();
          auto bias_memory = std::make_shared<memory>(bias, engine());
          std::copy(tail.bias.begin(), tail.bias.end(), static_cast<float*>(bias_memory->get_data_handle()));
          return std::make_unique<PrimitiveStep>(dnnl::deconvolution_forward(pd),
                                                 std::vector<Argument>{{DNNL_ARG_SRC, in[0], src, {}},
                                                                       {DNNL_ARG_WEIGHTS, -1, pd.weights_desc(), packed},
                                                                       {DNNL_ARG_BIAS, -1, bias, bias_memory},
                                                                       {DNNL_ARG_DST, out, dst, {}}},
                                                 pd.scratchpad_desc(), "onednn_deconv");
        });
  return true;
}

}  // namespace cytodet::exec
