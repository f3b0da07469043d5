#include <algorithm>
#include <cstring>

#include "exec/steps/depthwise_window.h"

namespace cytodet::exec {
namespace {

// Input rows (copied, or summed and activated on the way) -> depthwise -> optional pointwise. A thread works a band of output
// rows: the last kernel_h input rows lie zero-padded in its scratch (DepthwiseWindow), and a few depthwise rows wait there until
// the pointwise product has enough of them.
class DepthwiseChainStep : public Step {
 public:
  DepthwiseChainStep(const DepthwiseChain& chain, const ConvIo& io)
      : terms_(chain.terms),
        terms_act_(chain.terms_act),
        s_(chain.depthwise.shape),
        act_(chain.depthwise.act),
        io_(io),
        set_(kernels()),
        depthwise_(set_, chain.depthwise),
        window_(set_, depthwise_, s_, depthwise_.channels),
        results_(set_, io.output, chain.pointwise ? chain.pointwise->shape.out_c : depthwise_.channels) {
    for (const SumTerm& t : terms_) sources_.emplace_back(set_, t.input, s_.in_c);
    if (chain.pointwise) {
      pointwise_ = std::make_unique<PackedDense>(set_, *chain.pointwise);
      pointwise_act_ = chain.pointwise->act;
    }
    if (io.residual) residual_.emplace(set_, *io.residual, results_.channels(), io.residual_first, stores_itself());
    if (depthwise_.approximate) terms_act_ = approximate_act(terms_act_, std::numeric_limits<float>::infinity());
    if (pointwise_)
      pointwise_act_ = pointwise_->act_of(pointwise_act_, 0, pointwise_->panels(), io.residual && io.residual_first);
    for (const SumTerm& t : terms_) inputs.push_back(t.input.tensor);
    if (terms_.empty()) inputs.push_back(io.input);
    if (io.residual) inputs.push_back(io.residual->tensor);
    outputs = {io.output.tensor};
    if (io.pooled >= 0) outputs.push_back(io.pooled);
    info.kernel = std::string(depthwise_.quantized ? "int8_"
                              : pointwise_         ? pointwise_->prefix()
                                                   : "") +
                  (terms_.empty() ? "" : "sum_") + "depthwise" + (pointwise_ ? "_pointwise" : "");
    info.macs = s_.batch * s_.out_h * s_.out_w * s_.in_c * (s_.taps() + (pointwise_ ? pointwise_->n : 0));
    group_ = pointwise_ || results_.storage() != StorageType::f32 ? std::max<int64_t>(1, 96 / std::max<int64_t>(1, s_.out_w)) : 1;
    bands_ = std::min<int64_t>(s_.out_h, 16);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    for (int64_t n = 0; n < s_.batch; ++n) {
      for (int thread = 0; thread < context.threads; ++thread) *workspace_of(context, thread).progress = {};
      for_each_chunk(context.threads, bands_, 2, [&](int64_t b, int64_t e, int thread) { run_bands(context, n, b, e, thread); });
      if (io_.pooled >= 0)
        depthwise_.mean_of_sums(s_, workspace_of(context, 0).sums, bands_, context.out(io_.pooled) + n * s_.in_c);
    }
  }

 private:
  // How far a thread has come in an image. The window outlives run_bands, so that a band which follows the one before it finds
  // its first rows there.
  struct Progress {
    int64_t next = -1;  // band
    int64_t have = 0;   // the last row in the window
  };
  struct Workspace {
    Progress* progress;
    char* window;
    float* source;       // [in_w][in_c]: an input row before it is packed4
    float* terms[4];     // a row of each term of the sum, converted to floats
    float* residual;     // [group_ * out_w][out_c], converted to floats
    float* depthwise;    // [group_ * out_w][in_c]: what the pointwise product reads
    float* results;      // [group_ * out_w][out_c], before they are stored in another type
    uint8_t* converted;  // [group_ * out_w] packed rows of the pointwise product
    float* sums;         // [bands][panels * panel]; only thread 0's is used, so that the order of addition is fixed
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    Workspace p{};
    p.progress = reinterpret_cast<Progress*>(alloc.bytes(sizeof(Progress)));
    p.window = reinterpret_cast<char*>(alloc.bytes(window_.bytes()));
    if (depthwise_.packed4()) p.source = alloc.floats(s_.in_w * s_.in_c);
    for (size_t i = 0; i < terms_.size(); ++i) p.terms[i] = alloc.floats(sources_[i].scratch(s_.in_w / terms_[i].repeat));
    if (residual_) p.residual = alloc.floats(residual_->scratch(group_ * s_.out_w));
    if (pointwise_ && !q8_between()) p.depthwise = alloc.floats(group_ * s_.out_w * s_.in_c);
    if (pointwise_ && pointwise_->converts) p.converted = alloc.bytes(group_ * s_.out_w * pointwise_->row_bytes());
    if (io_.pooled >= 0) p.sums = alloc.floats(bands_ * depthwise_.bias.size());
    if (through_floats()) p.results = alloc.floats(group_ * s_.out_w * results_.channels());
    return p;
  }
  Workspace workspace_of(const RunContext& context, int thread) const {
    ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
    return workspace(alloc);
  }
  // The depthwise kernel quantizes its results itself, as the pointwise product reads them.
  bool q8_between() const { return depthwise_.packed4() && pointwise_ && pointwise_->quantized; }
  bool stores_itself() const { return pointwise_ && pointwise_->quantized && results_.stored_by_products(); }
  bool through_floats() const {
    return pointwise_ ? results_.storage() != StorageType::f32 && !stores_itself() : !window_.writes(results_.storage());
  }

  // Puts row y of the depthwise input into the window; where the layer is in 8 bits, quantized.
  void source_row(RunContext& context, int64_t n, int64_t y, const DepthwiseWindow::Row& to, const Workspace& ws) const {
    const QuantizeParams params = depthwise_.input.params();
    float* made = to.packed4 ? ws.source : to.floats;
    const float* floats = made;
    if (!terms_.empty()) {
      sum_row(context, n, y, ws, made);
    } else {
      const FeatureMap map = context.feature_map(io_.input);
      const int64_t values = s_.in_w * s_.in_c, first = (n * s_.in_h + y) * values;
      if (map.storage == StorageType::q8 && to.packed4)
        return set_.pack4_q8(map.q8(first), s_.in_w, s_.in_c, to.byte, to.packed4, window_.pixel_stride());
      if (map.storage == StorageType::q8) return set_.dequantize(map.q8(first), values, params.qmin, to.floats);
      if (map.storage == StorageType::f16)
        set_.f16_to_f32(map.f16(first), values, made);
      else if (map.storage == StorageType::bf16)
        set_.bf16_to_f32(map.bf16(first), values, made);
      else
        floats = map.f32(first);
    }
    if (to.packed4)
      set_.pack4_f32(floats, s_.in_w, s_.in_c, params, to.byte, to.packed4, window_.pixel_stride());
    else if (depthwise_.quantized)
      set_.fake_quantize(floats, to.floats, s_.in_w, s_.in_c, params);
    else if (floats != to.floats)
      std::memcpy(to.floats, floats, static_cast<size_t>(s_.in_w * s_.in_c) * sizeof(float));
  }

  void sum_row(RunContext& context, int64_t n, int64_t y, const Workspace& ws, float* sum) const {
    WeightedRow rows[4];
    for (size_t i = 0; i < terms_.size(); ++i) {
      const SumTerm& t = terms_[i];
      int64_t h = s_.in_h / t.repeat, w = s_.in_w / t.repeat;
      rows[i] = {sources_[i].rows(context, (n * h + y / t.repeat) * w, w, ws.terms[i]), t.weight * sources_[i].scale(), t.repeat};
    }
    set_.weighted_sum_row(rows, static_cast<int>(terms_.size()), terms_act_, sum, s_.in_w, s_.in_c);
  }

  void run_bands(RunContext& context, int64_t n, int64_t band_begin, int64_t band_end, int thread) const {
    const Workspace ws = workspace_of(context, thread);
    float* sums = workspace_of(context, 0).sums;
    int64_t have = ws.progress->have;
    if (ws.progress->next != band_begin) {
      window_.clear(ws.window);
      have = window_.before(s_.out_h * band_begin / bands_);
    }
    for (int64_t band = band_begin; band < band_end; ++band) {
      float* band_sums = sums ? sums + band * depthwise_.bias.size() : nullptr;
      if (band_sums) std::fill_n(band_sums, depthwise_.bias.size(), 0.0f);
      const int64_t y1 = s_.out_h * (band + 1) / bands_;
      for (int64_t y = s_.out_h * band / bands_; y < y1; y += group_)
        run_rows(context, n, y, std::min(group_, y1 - y), have, band_sums, ws);
    }
    *ws.progress = {band_end, have};
  }

  // Output rows [y, y + count), at most group_.
  void run_rows(RunContext& context, int64_t n, int64_t y, int64_t count, int64_t& have, float* band_sums,
                const Workspace& ws) const {
    const DepthwiseWindow::Strip whole = window_.strip(0);
    const int64_t pixel = (n * s_.out_h + y) * s_.out_w;
    for (int64_t i = 0; i < count; ++i) {
      window_.advance(ws.window, whole, y + i, have,
                      [&](int64_t row, const DepthwiseWindow::Row& to) { source_row(context, n, row, to, ws); });
      for (int64_t p = 0; p < depthwise_.panels(); ++p) {
        DepthwiseWindow::Results results = depthwise_results(context, pixel, i, p * depthwise_.panel, ws);
        if (band_sums) results.sums = band_sums + p * depthwise_.panel;
        window_.run(ws.window, whole, y + i, p, p * depthwise_.panel, act_, results);
      }
    }
    if (pointwise_) multiply(context, pixel, count * s_.out_w, ws);
    if (through_floats()) results_.store(context, pixel, count * s_.out_w, ws.results);
  }

  // The place of row i of the output rows that begin at `pixel`, from channel c on.
  DepthwiseWindow::Results depthwise_results(RunContext& context, int64_t pixel, int64_t i, int64_t c,
                                             const Workspace& ws) const {
    const int64_t first = i * s_.out_w;
    if (q8_between())
      return {ws.converted + first * pointwise_->row_bytes() + c, pointwise_->row_bytes(), StorageType::q8,
              pointwise_->input().params(c)};
    if (pointwise_) return {ws.depthwise + first * s_.in_c + c, s_.in_c};
    if (through_floats()) return {ws.results + first * s_.in_c + c, s_.in_c};
    return DepthwiseWindow::into(results_, context, pixel + first, c);
  }

  // The pointwise product of the depthwise rows that wait.
  void multiply(RunContext& context, int64_t pixel, int64_t pixels, const Workspace& ws) const {
    float* out = results_.floats(context, pixel, ws.results);
    Epilogue e{pointwise_->bias(), pointwise_act_};
    if (stores_itself()) results_.store_by(context, pixel, e);
    if (residual_) residual_->add_to(e, context, pixel, pixels, ws.residual);
    if (q8_between())
      pointwise_->multiply(ws.converted, pixels, 0, pointwise_->panels(), out, pointwise_->n, e);
    else if (pointwise_->converts)
      pointwise_->multiply(pointwise_->converted({ws.depthwise, StorageType::f32}, 0, pixels, nullptr, ws.converted), pixels, 0,
                           pointwise_->panels(), out, pointwise_->n, e);
    else
      set_.gemm(ws.depthwise, s_.in_c, pixels, pointwise_->matrix(), 0, pointwise_->panels(), out, pointwise_->n, e);
  }

  std::vector<SumTerm> terms_;
  Act terms_act_;
  ConvShape s_;
  Act act_;
  ConvIo io_;
  const KernelSet& set_;
  PackedDepthwise depthwise_;
  DepthwiseWindow window_;
  std::unique_ptr<PackedDense> pointwise_;
  ResultRows results_;
  std::vector<RowSource> sources_;  // [terms]
  std::optional<ResidualRows> residual_;
  Act pointwise_act_ = Act::none;
  int64_t group_ = 1;  // depthwise rows that wait for the pointwise product
  int64_t bands_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_depthwise_chain(const DepthwiseChain& chain, const ConvIo& io) {
  return std::make_unique<DepthwiseChainStep>(chain, io);
}

}  // namespace cytodet::exec
