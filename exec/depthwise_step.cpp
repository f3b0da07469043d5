#include <algorithm>
#include <cstring>

#include "exec/packed_conv.h"

namespace cytodet {
namespace {

// Source rows (copied, or summed and activated on the way) -> depthwise -> optional pointwise. A thread works a band of output
// rows: the last kernel_h source rows lie zero-padded in its scratch, a few depthwise rows wait there for the pointwise product.
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
        results_(set_, io, chain.pointwise ? chain.pointwise->shape.out_c : depthwise_.channels) {
    if (chain.pointwise) {
      pointwise_ = std::make_unique<PackedDense>(set_, *chain.pointwise);
      pointwise_act_ = chain.pointwise->act;
    }
    if (depthwise_.coded) terms_act_ = coarse_act(terms_act_, std::numeric_limits<float>::infinity());
    if (pointwise_) pointwise_act_ = pointwise_->act_of(pointwise_act_, 0, pointwise_->panels());
    for (const SumTerm& t : terms_) inputs.push_back(t.tensor);
    if (terms_.empty()) inputs.push_back(io.input);
    if (io.residual >= 0) inputs.push_back(io.residual);
    outputs = {io.output};
    if (io.pooled >= 0) outputs.push_back(io.pooled);
    info.kernel = std::string(depthwise_.coded ? "int8_"
                              : pointwise_     ? pointwise_->prefix()
                                               : "") +
                  (terms_.empty() ? "" : "sum_") + "depthwise" + (pointwise_ ? "_pointwise" : "");
    info.macs = s_.batch * s_.out_h * s_.out_w * s_.in_c * (s_.taps() + (pointwise_ ? pointwise_->n : 0));
    padded_w_ = std::max((s_.out_w - 1) * s_.stride_w + int64_t{s_.kernel_w - 1} * s_.dilation_w + 1, s_.pad_left + s_.in_w);
    ring_rows_ = int64_t{s_.kernel_h - 1} * s_.dilation_h + 1;
    group_ = pointwise_ || results_.coded() ? std::max<int64_t>(1, 96 / std::max<int64_t>(1, s_.out_w)) : 1;
    bands_ = std::min<int64_t>(s_.out_h, 16);
    ScratchCutter cut(nullptr);
    pieces(cut);
    scratch_bytes = cut.total();
  }

  void run(RunContext& context) const override {
    for (int64_t n = 0; n < s_.batch; ++n) {
      for_each_chunk(context.threads, bands_, 2, [&](int64_t b, int64_t e, int thread) { run_bands(context, n, b, e, thread); });
      if (io_.pooled >= 0) {
        ScratchCutter cut(context.scratch);
        depthwise_.mean_of_sums(s_, pieces(cut).sums, bands_, context.out(io_.pooled) + n * s_.in_c);
      }
    }
  }

 private:
  struct Pieces {
    float* ring;         // [ring_rows][padded_w][channels] and panel floats of slack
    float* zero;         // one such row of zeros
    float* depthwise;    // for the pointwise product
    float* results;      // before they are stored as codes
    uint8_t* converted;  // the depthwise rows for the pointwise product
    float* sums;         // [bands][panels * panel]; only thread 0's is used, so that the order of addition is fixed
  };
  Pieces pieces(ScratchCutter& cut) const {
    int64_t row = padded_w_ * s_.in_c;
    float* ring = cut.floats(ring_rows_ * row + depthwise_.panel);
    float* zero = cut.floats(row + depthwise_.panel);
    float* rows = pointwise_ ? cut.floats(group_ * s_.out_w * s_.in_c) : nullptr;
    uint8_t* converted = pointwise_ && pointwise_->converts ? cut.bytes(group_ * s_.out_w * pointwise_->row_bytes()) : nullptr;
    float* sums = io_.pooled >= 0 ? cut.floats(bands_ * depthwise_.bias.size()) : nullptr;
    float* results = results_.coded() ? cut.floats(group_ * s_.out_w * results_.channels()) : nullptr;
    return {ring, zero, rows, results, converted, sums};
  }

  // Row y of the depthwise input, as codes where it is on codes.
  void source_row(RunContext& context, int64_t n, int64_t y, float* to) const {
    if (terms_.empty()) {
      const Map map = context.map(io_.input);
      const int64_t first = (n * s_.in_h + y) * s_.in_w * s_.in_c;
      const float* row = map.floats(first);
      if (map.form == Form::codes)
        set_.floats_of_codes(map.codes(first), s_.in_w * s_.in_c, depthwise_.input.lowest, to);
      else if (depthwise_.coded)
        set_.round_to_codes(row, to, s_.in_w, s_.in_c, depthwise_.input.rule());
      else
        std::memcpy(to, row, static_cast<size_t>(s_.in_w * s_.in_c) * sizeof(float));
      return;
    }
    WeightedRow rows[4];
    for (size_t i = 0; i < terms_.size(); ++i) {
      const SumTerm& t = terms_[i];
      int64_t h = s_.in_h / t.repeat, w = s_.in_w / t.repeat;
      rows[i] = {context.in(t.tensor) + (n * h + y / t.repeat) * w * s_.in_c, t.weight, t.repeat};
    }
    set_.weighted_sum_row(rows, static_cast<int>(terms_.size()), terms_act_, to, s_.in_w, s_.in_c);
    if (depthwise_.coded) set_.round_to_codes(to, to, s_.in_w, s_.in_c, depthwise_.input.rule());
  }

  // Depthwise output row oy into out ([out_w][channels]).
  void depthwise_row(const float* const* rows, float* out, float* sums) const {
    for (int64_t p = 0; p < depthwise_.panels(); ++p) {
      int64_t c = p * depthwise_.panel;
      const float* shifted[64];
      for (int k = 0; k < s_.kernel_h; ++k) shifted[k] = rows[k] + c;
      DepthwiseRow job = depthwise_.job(s_, p, act_);
      job.rows = shifted;
      job.pixel_stride = s_.in_c;
      job.out = out + c;
      job.sums = sums ? sums + c : nullptr;
      set_.depthwise_row(job);
    }
  }

  void run_bands(RunContext& context, int64_t n, int64_t band_begin, int64_t band_end, int thread) const {
    ScratchCutter cut(context.scratch + thread * scratch_bytes);
    Pieces piece = pieces(cut);
    ScratchCutter shared_cut(context.scratch);
    float* sums = pieces(shared_cut).sums;
    const int64_t row_floats = padded_w_ * s_.in_c;
    std::fill_n(piece.ring, ring_rows_ * row_floats + depthwise_.panel, 0.0f);
    std::fill_n(piece.zero, row_floats + depthwise_.panel, 0.0f);
    int64_t have = -1;  // last source row in the ring
    for (int64_t band = band_begin; band < band_end; ++band) {
      float* band_sums = sums ? sums + band * depthwise_.bias.size() : nullptr;
      if (band_sums) std::fill_n(band_sums, depthwise_.bias.size(), 0.0f);
      int64_t y1 = s_.out_h * (band + 1) / bands_;
      for (int64_t y = s_.out_h * band / bands_; y < y1; y += group_) {
        int64_t count = std::min(group_, y1 - y);
        int64_t pixel = (n * s_.out_h + y) * s_.out_w;
        float* out = results_.floats(context, pixel, piece.results);
        float* rows_out = pointwise_ ? piece.depthwise : out;
        for (int64_t i = 0; i < count; ++i) {
          const float* rows[64];
          int64_t top = (y + i) * s_.stride_h - s_.pad_top;
          for (int k = 0; k < s_.kernel_h; ++k) {
            int64_t iy = top + int64_t{k} * s_.dilation_h;
            if (iy < 0 || iy >= s_.in_h) {
              rows[k] = piece.zero;
              continue;
            }
            for (int64_t fill = std::max(have + 1, std::max<int64_t>(0, top)); fill <= iy; ++fill) {
              float* to = piece.ring + (fill % ring_rows_) * row_floats + s_.pad_left * s_.in_c;
              source_row(context, n, fill, to);
              have = fill;
            }
            rows[k] = piece.ring + (iy % ring_rows_) * row_floats;
          }
          depthwise_row(rows, rows_out + i * s_.out_w * s_.in_c, band_sums);
        }
        if (pointwise_) {
          Epilogue e{pointwise_->bias(), pointwise_act_};
          if (io_.residual >= 0) {
            e.residual = context.in(io_.residual) + pixel * pointwise_->n;
            e.residual_stride = pointwise_->n;
            e.residual_first = io_.residual_first;
          }
          const int64_t pixels = count * s_.out_w;
          if (pointwise_->converts)
            pointwise_->multiply(pointwise_->converted({piece.depthwise, Form::floats}, 0, pixels, nullptr, piece.converted),
                                 pixels, 0, pointwise_->panels(), out, pointwise_->n, e);
          else
            set_.gemm(piece.depthwise, s_.in_c, pixels, pointwise_->matrix(), 0, pointwise_->panels(), out, pointwise_->n, e);
        }
        results_.store(context, pixel, count * s_.out_w, piece.results);
      }
    }
  }

  std::vector<SumTerm> terms_;
  Act terms_act_;
  ConvShape s_;
  Act act_;
  ConvIo io_;
  const KernelSet& set_;
  PackedDepthwise depthwise_;
  std::unique_ptr<PackedDense> pointwise_;
  ResultRows results_;
  Act pointwise_act_ = Act::none;
  int64_t padded_w_ = 0, ring_rows_ = 0, group_ = 1, bands_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_depthwise_chain(const DepthwiseChain& chain, const ConvIo& io) {
  return std::make_unique<DepthwiseChainStep>(chain, io);
}

}  // namespace cytodet
