#include <algorithm>

#include "exec/steps/depthwise_window.h"

namespace cytodet::exec {
namespace {

// Dense conv -> depthwise. Worked in bands of output rows, and in a band one panel of channels at a time: its last kernel_h
// expanded rows lie zero-padded in scratch (L1), so the expanded map is never written to memory. Bands are sized so that
// their source rows stay in L2 while the panels pass over them; the few rows that two bands share are expanded twice. A map that
// is one band is shared out to the threads by panels.
class ExpandDepthwiseStep : public Step {
 public:
  ExpandDepthwiseStep(const DenseConv& expand, const DepthwiseConv& depthwise, const ConvIo& io)
      : e_(expand.shape),
        d_(depthwise.shape),
        act_(depthwise.act),
        io_(io),
        set_(kernels()),
        expand_(set_, expand),
        depthwise_(set_, depthwise),
        window_(set_, depthwise_, d_, expand_.panel, kWindowBytes),
        results_(set_, io.output, depthwise_.channels) {
    const bool made_there = depthwise_.words() || !set_.depthwise_words;  // codes, in the form that the depthwise layer takes
    if (expand_.coded && depthwise_.coded && made_there) coded_.emplace(expand_, depthwise_.input, expand.act);
    for (int64_t p = 0; p < expand_.panels(); ++p)
      expand_acts_.push_back(coded_ ? coded_->act_of(p) : expand_.act_of(expand.act, p, p + 1));
    inputs = {io.input};
    outputs = {io.output.tensor};
    if (io.pooled >= 0) outputs.push_back(io.pooled);
    info.kernel = expand_.prefix() + std::string("expand_depthwise");
    info.macs = e_.batch * e_.out_h * e_.out_w * expand_.k * expand_.n + d_.batch * d_.out_h * d_.out_w * d_.in_c * d_.taps();
    ring_rows_ = int64_t{d_.kernel_h - 1} * d_.dilation_h + 1;
    const int64_t source_row_bytes = e_.out_w * (expand_.converts ? expand_.row_bytes() : expand_.k * 4);
    const int64_t rows = std::max<int64_t>(1, kBandBytes / source_row_bytes);
    const int64_t out_rows = rows >= e_.out_h ? d_.out_h : std::max<int64_t>(4, (rows - ring_rows_) / d_.stride_h + 1);
    int64_t bands = (d_.out_h + out_rows - 1) / out_rows;
    if (bands > 1) bands = std::min(d_.out_h, (bands + 3) / 4 * 4);  // as many for each of two or four threads
    band_rows_ = (d_.out_h + bands - 1) / bands;
    bands_ = (d_.out_h + band_rows_ - 1) / band_rows_;
    ScratchCutter cut(nullptr);
    pieces(cut);
    scratch_bytes = cut.total();
  }

  void run(RunContext& context) const override {
    for (int64_t n = 0; n < d_.batch; ++n) {
      if (bands_ == 1) {
        const Source source = source_of(context, n, 0, 0, context.threads);
        for_each_chunk(context.threads, expand_.panels(), 1,
                       [&](int64_t b, int64_t e, int thread) { run_panels(context, n, source, 0, thread, b, e); });
      } else {
        for_each_task(context.threads, bands_, [&](int64_t band, int thread) {
          run_panels(context, n, source_of(context, n, band, thread, 1), band, thread, 0, expand_.panels());
        });
      }
      if (io_.pooled >= 0) {
        ScratchCutter cut(context.scratch);
        depthwise_.mean_of_sums(d_, pieces(cut).sums, bands_, context.out(io_.pooled) + n * d_.in_c);
      }
    }
  }

 private:
  struct Pieces {
    char* window;        // of a panel
    float* expanded;     // a row of the panel before it becomes words
    float* patches;      // [source rows of a band][out_w][k]; null when the expansion is pointwise
    uint8_t* converted;  // the same rows for the product
    uint8_t* image;      // what patches are cut from, converted
    float* results;      // [out_w][panel] before they change form
    float* sums;         // [bands][panels * panel]; thread 0's only
  };
  bool through_floats() const { return !window_.makes(results_.form()); }
  int64_t source_rows() const { return (band_rows_ - 1) * d_.stride_h + ring_rows_; }
  Pieces pieces(ScratchCutter& cut) const {
    char* window = reinterpret_cast<char*>(cut.bytes(window_.bytes()));
    float* expanded = depthwise_.words() && !coded_ ? cut.floats(e_.out_w * expand_.panel) : nullptr;
    const bool patched = !e_.pointwise();
    float* patches = patched && !expand_.converts ? cut.floats(source_rows() * e_.out_w * expand_.k) : nullptr;
    uint8_t* converted = expand_.converts ? cut.bytes(source_rows() * e_.out_w * expand_.row_bytes()) : nullptr;
    uint8_t* image = patched && expand_.converts ? cut.bytes(expand_.image_bytes(e_, source_rows())) : nullptr;
    float* results = through_floats() ? cut.floats(d_.out_w * expand_.panel) : nullptr;
    float* sums = io_.pooled >= 0 ? cut.floats(bands_ * depthwise_.bias.size()) : nullptr;
    return {window, expanded, patches, converted, image, results, sums};
  }

  // What the expansion of a band reads: rows [first, last] of the map, as floats or converted for the product.
  struct Source {
    int64_t first, last;
    const float* floats;
    const uint8_t* converted;
  };
  // In the scratch of `thread`, by `threads` threads.
  Source source_of(RunContext& context, int64_t n, int64_t band, int thread, int threads) const {
    ScratchCutter cut(context.scratch + thread * scratch_bytes);
    const Pieces piece = pieces(cut);
    const int64_t y0 = band * band_rows_, y1 = std::min(d_.out_h, y0 + band_rows_);
    Source s;
    s.first = std::max<int64_t>(0, y0 * d_.stride_h - d_.pad_top);
    s.last = std::min<int64_t>(e_.out_h - 1, (y1 - 1) * d_.stride_h - d_.pad_top + ring_rows_ - 1);
    const Map map = context.map(io_.input);
    const int64_t image = n * e_.in_h * e_.in_w * e_.in_c, pixel = (n * e_.in_h + s.first) * e_.in_w;
    s.floats = nullptr;
    s.converted = piece.converted;
    if (piece.patches) {
      fill_patches(e_, map.floats(image), s.first, s.last + 1, piece.patches);
      s.floats = piece.patches;
    } else if (piece.image) {
      expand_.convert_patches(e_, map, image, s.first, s.last + 1, piece.image, piece.converted);
    } else if (!expand_.converts) {
      s.floats = map.floats(pixel * expand_.k);
    } else if (expand_.reads_directly(map.form)) {
      s.converted = PackedDense::direct(map, pixel * expand_.k);
    } else {
      for_each_chunk(threads, (s.last - s.first + 1) * e_.out_w, 64, [&](int64_t b, int64_t e, int) {
        expand_.converted(map, pixel + b, e - b, nullptr, piece.converted + b * expand_.row_bytes());
      });
    }
    return s;
  }

  void run_panels(RunContext& context, int64_t n, const Source& source, int64_t band, int thread, int64_t panel_begin,
                  int64_t panel_end) const {
    ScratchCutter cut(context.scratch + thread * scratch_bytes);
    Pieces piece = pieces(cut);
    ScratchCutter shared_cut(context.scratch);
    float* sums = pieces(shared_cut).sums;
    const int panel = expand_.panel;
    const int64_t y0 = band * band_rows_, y1 = std::min(d_.out_h, y0 + band_rows_);
    Epilogue epilogue{expand_.bias()};
    CodedResults codes = coded_ ? coded_->results() : CodedResults{};
    if (coded_) epilogue.codes = &codes;
    for (int64_t p = panel_begin; p < panel_end; ++p) {
      const int64_t c = p * panel;
      epilogue.act = expand_acts_[static_cast<size_t>(p)];
      float* panel_sums = sums ? sums + band * depthwise_.bias.size() + c : nullptr;
      if (panel_sums) std::fill_n(panel_sums, panel, 0.0f);
      for (int64_t i = 0; i < window_.strips(); ++i) {
        const DepthwiseWindow::Strip strip = window_.strip(i);
        const auto put = [&](int64_t row, const DepthwiseWindow::Row& to) {
          codes.byte = to.byte;
          float* out = coded_ && to.words ? reinterpret_cast<float*>(to.words) : to.words ? piece.expanded : to.floats;
          const int64_t first = (row - source.first) * e_.out_w + strip.first;
          if (source.converted)
            expand_.multiply(source.converted + first * expand_.row_bytes(), strip.columns, p, p + 1, out - c, panel, epilogue);
          else
            set_.gemm(source.floats + first * expand_.k, expand_.k, strip.columns, expand_.matrix(), p, p + 1, out - c, panel,
                      epilogue);
          if (coded_ || !depthwise_.coded) return;
          if (to.words)
            set_.words_of_floats(out, strip.columns, panel, depthwise_.input.rule(c), to.byte, to.words, panel);
          else
            set_.round_to_codes(out, out, strip.columns, panel, depthwise_.input.rule(c));
        };
        if (p == panel_begin || window_.strips() > 1) window_.clear(piece.window);
        int64_t have = window_.before(y0);
        for (int64_t y = y0; y < y1; ++y) {
          window_.advance(piece.window, strip, y, have, put);
          const int64_t pixel = (n * d_.out_h + y) * d_.out_w + strip.x;
          if (through_floats()) {
            window_.run(piece.window, strip, y, p, 0, act_, {piece.results, panel, Form::floats, {}, 1, panel_sums});
            results_.store_columns(context, pixel, strip.width, c, std::min<int64_t>(panel, d_.in_c - c), piece.results, panel);
          } else {
            DepthwiseWindow::Results results = DepthwiseWindow::into(results_, context, pixel, c);
            results.sums = panel_sums;
            window_.run(piece.window, strip, y, p, 0, act_, results);
          }
        }
      }
    }
  }

  static constexpr int64_t kBandBytes = 400 * 1024, kWindowBytes = 20 * 1024;  // that stay in the second cache, in the first

  ConvShape e_, d_;
  Act act_;
  std::vector<Act> expand_acts_;  // by panel
  ConvIo io_;
  const KernelSet& set_;
  PackedDense expand_;
  PackedDepthwise depthwise_;
  DepthwiseWindow window_;
  ResultRows results_;
  std::optional<CodedTable> coded_;  // where the expansion makes the codes of the depthwise layer
  int64_t ring_rows_ = 0, bands_ = 1, band_rows_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_expand_depthwise(const DenseConv& expand, const DepthwiseConv& depthwise, const ConvIo& io) {
  return std::make_unique<ExpandDepthwiseStep>(expand, depthwise, io);
}

}  // namespace cytodet::exec
