#include <algorithm>
#include <cstring>

#include "exec/steps/depthwise_window.h"

namespace cytodet::exec {
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
        window_(set_, depthwise_, s_, depthwise_.channels),
        results_(set_, io.output, chain.pointwise ? chain.pointwise->shape.out_c : depthwise_.channels) {
    for (const SumTerm& t : terms_) sources_.emplace_back(set_, t.input, s_.in_c);
    if (io.residual) residual_.emplace(set_, *io.residual, results_.channels());
    if (chain.pointwise) {
      pointwise_ = std::make_unique<PackedDense>(set_, *chain.pointwise);
      pointwise_act_ = chain.pointwise->act;
    }
    if (depthwise_.coarse) terms_act_ = coarse_act(terms_act_, std::numeric_limits<float>::infinity());
    if (pointwise_) pointwise_act_ = pointwise_->act_of(pointwise_act_, 0, pointwise_->panels());
    for (const SumTerm& t : terms_) inputs.push_back(t.input.tensor);
    if (terms_.empty()) inputs.push_back(io.input);
    if (io.residual) inputs.push_back(io.residual->tensor);
    outputs = {io.output.tensor};
    if (io.pooled >= 0) outputs.push_back(io.pooled);
    info.kernel = std::string(depthwise_.coded ? "int8_"
                              : pointwise_     ? pointwise_->prefix()
                                               : "") +
                  (terms_.empty() ? "" : "sum_") + "depthwise" + (pointwise_ ? "_pointwise" : "");
    info.macs = s_.batch * s_.out_h * s_.out_w * s_.in_c * (s_.taps() + (pointwise_ ? pointwise_->n : 0));
    group_ = pointwise_ || results_.form() != Form::floats ? std::max<int64_t>(1, 96 / std::max<int64_t>(1, s_.out_w)) : 1;
    bands_ = std::min<int64_t>(s_.out_h, 16);
    ScratchCutter cut(nullptr);
    pieces(cut);
    scratch_bytes = cut.total();
  }

  void run(RunContext& context) const override {
    for (int64_t n = 0; n < s_.batch; ++n) {
      for (int thread = 0; thread < context.threads; ++thread) *pieces_of(context, thread).progress = {};
      for_each_chunk(context.threads, bands_, 2, [&](int64_t b, int64_t e, int thread) { run_bands(context, n, b, e, thread); });
      if (io_.pooled >= 0) depthwise_.mean_of_sums(s_, pieces_of(context, 0).sums, bands_, context.out(io_.pooled) + n * s_.in_c);
    }
  }

 private:
  // How far a thread has come in an image: the window outlives run_bands, and bands that follow on those before find their rows
  // in it.
  struct Progress {
    int64_t next = -1;  // band
    int64_t have = 0;   // the last row in the window
  };
  struct Pieces {
    Progress* progress;
    char* window;
    float* source;       // a row before it becomes words
    float* terms[4];     // rows of the sum's terms that are not stored as floats
    float* residual;     // these as well, of the rows for the pointwise product
    float* depthwise;    // rows for the pointwise product
    float* results;      // before they change form
    uint8_t* converted;  // the depthwise rows for the pointwise product
    float* sums;         // [bands][panels * panel]; only thread 0's is used, so that the order of addition is fixed
  };
  Pieces pieces(ScratchCutter& cut) const {
    Pieces p{};
    p.progress = reinterpret_cast<Progress*>(cut.bytes(sizeof(Progress)));
    p.window = reinterpret_cast<char*>(cut.bytes(window_.bytes()));
    if (depthwise_.words()) p.source = cut.floats(s_.in_w * s_.in_c);
    for (size_t i = 0; i < terms_.size(); ++i) p.terms[i] = cut.floats(sources_[i].scratch(s_.in_w / terms_[i].repeat));
    if (residual_) p.residual = cut.floats(residual_->scratch(group_ * s_.out_w));
    if (pointwise_ && !codes_between()) p.depthwise = cut.floats(group_ * s_.out_w * s_.in_c);
    if (pointwise_ && pointwise_->converts) p.converted = cut.bytes(group_ * s_.out_w * pointwise_->row_bytes());
    if (io_.pooled >= 0) p.sums = cut.floats(bands_ * depthwise_.bias.size());
    if (through_floats()) p.results = cut.floats(group_ * s_.out_w * results_.channels());
    return p;
  }
  Pieces pieces_of(const RunContext& context, int thread) const {
    ScratchCutter cut(context.scratch + thread * scratch_bytes);
    return pieces(cut);
  }
  // The depthwise results become codes of the pointwise product at once.
  bool codes_between() const { return depthwise_.words() && pointwise_ && pointwise_->coded; }
  bool through_floats() const { return pointwise_ ? results_.form() != Form::floats : !window_.makes(results_.form()); }

  // Row y of the depthwise input, as codes where it is on codes.
  void source_row(RunContext& context, int64_t n, int64_t y, const DepthwiseWindow::Row& to, const Pieces& piece) const {
    const CodeRule rule = depthwise_.input.rule();
    float* made = to.words ? piece.source : to.floats;
    const float* floats = made;
    if (!terms_.empty()) {
      sum_row(context, n, y, piece, made);
    } else {
      const Map map = context.map(io_.input);
      const int64_t numbers = s_.in_w * s_.in_c, first = (n * s_.in_h + y) * numbers;
      if (map.form == Form::codes && to.words)
        return set_.words_of_codes(map.codes(first), s_.in_w, s_.in_c, to.byte, to.words, window_.pixel_stride());
      if (map.form == Form::codes) return set_.floats_of_codes(map.codes(first), numbers, rule.lowest, to.floats);
      if (map.form == Form::halves)
        set_.floats_of_halves(map.halves(first), numbers, made);
      else if (map.form == Form::bf16)
        set_.floats_of_bf16(map.bf16(first), numbers, made);
      else
        floats = map.floats(first);
    }
    if (to.words)
      set_.words_of_floats(floats, s_.in_w, s_.in_c, rule, to.byte, to.words, window_.pixel_stride());
    else if (depthwise_.coded)
      set_.round_to_codes(floats, to.floats, s_.in_w, s_.in_c, rule);
    else if (floats != to.floats)
      std::memcpy(to.floats, floats, static_cast<size_t>(s_.in_w * s_.in_c) * sizeof(float));
  }

  void sum_row(RunContext& context, int64_t n, int64_t y, const Pieces& piece, float* sum) const {
    WeightedRow rows[4];
    for (size_t i = 0; i < terms_.size(); ++i) {
      const SumTerm& t = terms_[i];
      int64_t h = s_.in_h / t.repeat, w = s_.in_w / t.repeat;
      rows[i] = {sources_[i].rows(context, (n * h + y / t.repeat) * w, w, piece.terms[i]), t.weight * sources_[i].scale(),
                 t.repeat};
    }
    set_.weighted_sum_row(rows, static_cast<int>(terms_.size()), terms_act_, sum, s_.in_w, s_.in_c);
  }

  void run_bands(RunContext& context, int64_t n, int64_t band_begin, int64_t band_end, int thread) const {
    const Pieces piece = pieces_of(context, thread);
    float* sums = pieces_of(context, 0).sums;
    const DepthwiseWindow::Strip whole = window_.strip(0);
    int64_t have = piece.progress->have;
    if (piece.progress->next != band_begin) {
      window_.clear(piece.window);
      have = window_.before(s_.out_h * band_begin / bands_);
    }
    for (int64_t band = band_begin; band < band_end; ++band) {
      float* band_sums = sums ? sums + band * depthwise_.bias.size() : nullptr;
      if (band_sums) std::fill_n(band_sums, depthwise_.bias.size(), 0.0f);
      int64_t y1 = s_.out_h * (band + 1) / bands_;
      for (int64_t y = s_.out_h * band / bands_; y < y1; y += group_) {
        const int64_t count = std::min(group_, y1 - y), pixel = (n * s_.out_h + y) * s_.out_w;
        for (int64_t i = 0; i < count; ++i) {
          window_.advance(piece.window, whole, y + i, have,
                          [&](int64_t row, const DepthwiseWindow::Row& to) { source_row(context, n, row, to, piece); });
          for (int64_t p = 0; p < depthwise_.panels(); ++p) {
            DepthwiseWindow::Results results = depthwise_results(context, pixel, i, p * depthwise_.panel, piece);
            if (band_sums) results.sums = band_sums + p * depthwise_.panel;
            window_.run(piece.window, whole, y + i, p, p * depthwise_.panel, act_, results);
          }
        }
        if (pointwise_) multiply(context, pixel, count * s_.out_w, piece);
        if (through_floats()) results_.store(context, pixel, count * s_.out_w, piece.results);
      }
    }
    *piece.progress = {band_end, have};
  }

  // Where row i of the rows from `pixel` on goes, its channels from c on.
  DepthwiseWindow::Results depthwise_results(RunContext& context, int64_t pixel, int64_t i, int64_t c,
                                             const Pieces& piece) const {
    const int64_t first = i * s_.out_w;
    if (codes_between())
      return {piece.converted + first * pointwise_->row_bytes() + c, pointwise_->row_bytes(), Form::codes,
              pointwise_->input().rule(c)};
    if (pointwise_) return {piece.depthwise + first * s_.in_c + c, s_.in_c};
    if (through_floats()) return {piece.results + first * s_.in_c + c, s_.in_c};
    return DepthwiseWindow::into(results_, context, pixel + first, c);
  }

  // The pointwise product of the rows that wait.
  void multiply(RunContext& context, int64_t pixel, int64_t pixels, const Pieces& piece) const {
    float* out = results_.floats(context, pixel, piece.results);
    Epilogue e{pointwise_->bias(), pointwise_act_};
    if (residual_) {
      e.residual = residual_->numbers(context, pixel, pixels, piece.residual);
      e.residual_stride = pointwise_->n;
      e.residual_first = io_.residual_first;
    }
    if (codes_between())
      pointwise_->multiply(piece.converted, pixels, 0, pointwise_->panels(), out, pointwise_->n, e);
    else if (pointwise_->converts)
      pointwise_->multiply(pointwise_->converted({piece.depthwise, Form::floats}, 0, pixels, nullptr, piece.converted), pixels, 0,
                           pointwise_->panels(), out, pointwise_->n, e);
    else
      set_.gemm(piece.depthwise, s_.in_c, pixels, pointwise_->matrix(), 0, pointwise_->panels(), out, pointwise_->n, e);
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
  std::vector<RowSource> sources_;  // of the terms
  std::optional<RowSource> residual_;
  Act pointwise_act_ = Act::none;
  int64_t group_ = 1, bands_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_depthwise_chain(const DepthwiseChain& chain, const ConvIo& io) {
  return std::make_unique<DepthwiseChainStep>(chain, io);
}

}  // namespace cytodet::exec
