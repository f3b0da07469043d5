#include <algorithm>

#include "exec/steps/depthwise_window.h"
#include "exec/steps/patches.h"

namespace cytodet::exec {
namespace {

// Dense conv ("expansion") -> depthwise. Worked in bands of output rows, and in a band one panel of channels at a time: the
// panel's last kernel_h expanded rows lie zero-padded in scratch (L1, DepthwiseWindow), so the expanded map is never written to
// memory. Bands are so high that their input rows stay in L2 while the panels pass over them; the few rows that two bands share
// are expanded twice. A map that is one band is shared out to the threads by panels.
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
    const bool as_read =
        depthwise_.packed4() || !set_.depthwise_packed4;  // requantized results are what the depthwise layer reads
    if (expand_.quantized && depthwise_.quantized && as_read) requantize_.emplace(expand_, depthwise_.input, expand.act);
    for (int64_t p = 0; p < expand_.panels(); ++p)
      expand_acts_.push_back(requantize_ ? requantize_->act_of(p) : expand_.act_of(expand.act, p, p + 1, false));
    inputs = {io.input};
    outputs = {io.output.tensor};
    if (io.pooled >= 0) outputs.push_back(io.pooled);
    info.kernel = expand_.prefix() + std::string("expand_depthwise");
    info.macs = e_.batch * e_.out_h * e_.out_w * expand_.k * expand_.n + d_.batch * d_.out_h * d_.out_w * d_.in_c * d_.taps();
    ring_rows_ = d_.window_h();
    const int64_t source_row_bytes = e_.out_w * (expand_.converts ? expand_.row_bytes() : expand_.k * 4);
    const int64_t rows = std::max<int64_t>(1, kBandBytes / source_row_bytes);
    const int64_t out_rows = rows >= e_.out_h ? d_.out_h : std::max<int64_t>(4, (rows - ring_rows_) / d_.stride_h + 1);
    int64_t bands = (d_.out_h + out_rows - 1) / out_rows;
    if (bands > 1) bands = std::min(d_.out_h, (bands + 3) / 4 * 4);  // as many for each of two or four threads
    band_rows_ = (d_.out_h + bands - 1) / bands;
    bands_ = (d_.out_h + band_rows_ - 1) / band_rows_;
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
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
        ScratchAllocator alloc(context.scratch);
        depthwise_.mean_of_sums(d_, workspace(alloc).sums, bands_, context.out(io_.pooled) + n * d_.in_c);
      }
    }
  }

 private:
  struct Workspace {
    char* window;        // of a panel
    float* expanded;     // [out_w][panel]: a row of the panel before it is packed4
    float* patches;      // [source_rows()][out_w][k]; null when the expansion is pointwise
    uint8_t* converted;  // [source_rows()][out_w] packed rows of the product
    uint8_t* image;      // converted rows of the image, of which patches are cut
    float* results;      // [out_w][panel] before they are stored in another type
    float* sums;         // [bands][panels * panel]; only thread 0's is used
  };
  bool through_floats() const { return !window_.writes(results_.storage()); }
  int64_t source_rows() const { return (band_rows_ - 1) * d_.stride_h + ring_rows_; }
  Workspace workspace(ScratchAllocator& alloc) const {
    char* window = reinterpret_cast<char*>(alloc.bytes(window_.bytes()));
    float* expanded = depthwise_.packed4() && !requantize_ ? alloc.floats(e_.out_w * expand_.panel) : nullptr;
    const bool patched = !e_.pointwise();
    float* patches = patched && !expand_.converts ? alloc.floats(source_rows() * e_.out_w * expand_.k) : nullptr;
    uint8_t* converted = expand_.converts ? alloc.bytes(source_rows() * e_.out_w * expand_.row_bytes()) : nullptr;
    uint8_t* image = patched && expand_.converts ? alloc.bytes(expand_.image_bytes(e_, source_rows())) : nullptr;
    float* results = through_floats() ? alloc.floats(d_.out_w * expand_.panel) : nullptr;
    float* sums = io_.pooled >= 0 ? alloc.floats(bands_ * depthwise_.bias.size()) : nullptr;
    return {window, expanded, patches, converted, image, results, sums};
  }

  // What the expansion of a band reads: rows [first, last] of the map (or their patches), as floats or packed for the product.
  struct Source {
    int64_t first, last;
    const float* floats;
    const uint8_t* converted;
  };
  // Made in the scratch of `thread`, by `threads` threads.
  Source source_of(RunContext& context, int64_t n, int64_t band, int thread, int threads) const {
    ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
    const Workspace ws = workspace(alloc);
    const int64_t y0 = band * band_rows_, y1 = std::min(d_.out_h, y0 + band_rows_);
    Source s;
    s.first = std::max<int64_t>(0, y0 * d_.stride_h - d_.pad_top);
    s.last = std::min<int64_t>(e_.out_h - 1, (y1 - 1) * d_.stride_h - d_.pad_top + ring_rows_ - 1);
    const FeatureMap map = context.feature_map(io_.input);
    const int64_t image = n * e_.in_h * e_.in_w * e_.in_c, pixel = (n * e_.in_h + s.first) * e_.in_w;
    s.floats = nullptr;
    s.converted = ws.converted;
    if (ws.patches) {
      fill_patches(e_, map.f32(image), s.first, s.last + 1, ws.patches);
      s.floats = ws.patches;
    } else if (ws.image) {
      expand_.convert_patches(e_, map, image, s.first, s.last + 1, ws.image, ws.converted);
    } else if (!expand_.converts) {
      s.floats = map.f32(pixel * expand_.k);
    } else if (expand_.reads_directly(map.storage)) {
      s.converted = PackedDense::direct(map, pixel * expand_.k);
    } else {
      for_each_chunk(threads, (s.last - s.first + 1) * e_.out_w, 64, [&](int64_t b, int64_t e, int) {
        expand_.converted(map, pixel + b, e - b, nullptr, ws.converted + b * expand_.row_bytes());
      });
    }
    return s;
  }

  // Panels [panel_begin, panel_end) of a band.
  void run_panels(RunContext& context, int64_t n, const Source& source, int64_t band, int thread, int64_t panel_begin,
                  int64_t panel_end) const {
    ScratchAllocator alloc(context.scratch + thread * scratch_bytes), shared_alloc(context.scratch);
    const Workspace ws = workspace(alloc);
    float* sums = workspace(shared_alloc).sums;
    const int panel = expand_.panel;
    for (int64_t p = panel_begin; p < panel_end; ++p) {
      float* panel_sums = sums ? sums + band * depthwise_.bias.size() + p * panel : nullptr;
      if (panel_sums) std::fill_n(panel_sums, panel, 0.0f);
      for (int64_t i = 0; i < window_.strips(); ++i) {
        if (p == panel_begin || window_.strips() > 1) window_.clear(ws.window);
        run_strip(context, n, source, band, p, window_.strip(i), panel_sums, ws);
      }
    }
  }

  // A strip of all rows of a band, panel p.
  void run_strip(RunContext& context, int64_t n, const Source& source, int64_t band, int64_t p,
                 const DepthwiseWindow::Strip& strip, float* panel_sums, const Workspace& ws) const {
    const int panel = expand_.panel;
    const int64_t c = p * panel, y0 = band * band_rows_, y1 = std::min(d_.out_h, y0 + band_rows_);
    RequantizeParams requantize = requantize_ ? requantize_->results() : RequantizeParams{};
    Epilogue epilogue{expand_.bias(), expand_acts_[static_cast<size_t>(p)]};
    if (requantize_) epilogue.requantize = &requantize;
    int64_t have = window_.before(y0);
    for (int64_t y = y0; y < y1; ++y) {
      window_.advance(ws.window, strip, y, have, [&](int64_t row, const DepthwiseWindow::Row& to) {
        requantize.byte = to.byte;
        expand_row(source, row, p, strip, epilogue, to, ws);
      });
      const int64_t pixel = (n * d_.out_h + y) * d_.out_w + strip.x;
      if (through_floats()) {
        window_.run(ws.window, strip, y, p, 0, act_, {ws.results, panel, StorageType::f32, {}, 1, panel_sums});
        results_.store_columns(context, pixel, strip.width, c, std::min<int64_t>(panel, d_.in_c - c), ws.results, panel);
      } else {
        DepthwiseWindow::Results results = DepthwiseWindow::into(results_, context, pixel, c);
        results.sums = panel_sums;
        window_.run(ws.window, strip, y, p, 0, act_, results);
      }
    }
  }

  // Panel p of a strip of an expanded row, into the window.
  void expand_row(const Source& source, int64_t row, int64_t p, const DepthwiseWindow::Strip& strip, const Epilogue& epilogue,
                  const DepthwiseWindow::Row& to, const Workspace& ws) const {
    const int panel = expand_.panel;
    const int64_t c = p * panel, first = (row - source.first) * e_.out_w + strip.first;
    float* out = requantize_ && to.packed4 ? reinterpret_cast<float*>(to.packed4) : to.packed4 ? ws.expanded : to.floats;
    if (source.converted)
      expand_.multiply(source.converted + first * expand_.row_bytes(), strip.columns, p, p + 1, out - c, panel, epilogue);
    else
      set_.gemm(source.floats + first * expand_.k, expand_.k, strip.columns, expand_.matrix(), p, p + 1, out - c, panel,
                epilogue);
    if (requantize_ || !depthwise_.quantized) return;
    if (to.packed4)
      set_.pack4_f32(out, strip.columns, panel, depthwise_.input.params(c), to.byte, to.packed4, panel);
    else
      set_.fake_quantize(out, out, strip.columns, panel, depthwise_.input.params(c));
  }

  static constexpr int64_t kBandBytes = 400 * 1024;   // stay in the L2 cache
  static constexpr int64_t kWindowBytes = 20 * 1024;  // stay in the L1 cache

  ConvShape e_, d_;
  Act act_;
  std::vector<Act> expand_acts_;  // [panels]
  ConvIo io_;
  const KernelSet& set_;
  PackedDense expand_;
  PackedDepthwise depthwise_;
  DepthwiseWindow window_;
  ResultRows results_;
  std::optional<PackedRequantizeParams> requantize_;  // where the expansion quantizes what the depthwise layer reads
  int64_t ring_rows_ = 0, bands_ = 1, band_rows_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_expand_depthwise(const DenseConv& expand, const DepthwiseConv& depthwise, const ConvIo& io) {
  return std::make_unique<ExpandDepthwiseStep>(expand, depthwise, io);
}

}  // namespace cytodet::exec
