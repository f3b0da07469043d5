#include "exec/steps/winograd_conv.h"

#include <algorithm>

namespace cytodet::exec {
namespace {

constexpr int kComponents = 16;
constexpr int64_t kInputBytes =
    416 * 1024;  // of the transformed windows of a block of tiles, about: they stay in the second cache
constexpr int64_t kMaxTiles = 56, kMinTiles = 12;  // of a block
constexpr int64_t kTileSegment = 384;

// to[16][columns], components `stride` apart, = G g G' of so many columns of one channel of a filter [3][3][channels][n]; taps
// are `tap` apart.
void transform_columns(const float* filter, int64_t tap, int64_t columns, float* to, int64_t stride) {
  for (int64_t i = 0; i < columns; ++i) {
    double rows[3][4];  // [x][y]: G of a column
    for (int x = 0; x < 3; ++x) {
      const double a = filter[x * tap + i], b = filter[(3 + x) * tap + i], c = filter[(6 + x) * tap + i];
      rows[x][0] = a;
      rows[x][1] = 0.5 * (a + b + c);
      rows[x][2] = 0.5 * (a - b + c);
      rows[x][3] = c;
    }
    for (int y = 0; y < 4; ++y) {
      const double a = rows[0][y], b = rows[1][y], c = rows[2][y];
      float* out = to + 4 * y * stride + i;
      out[0] = static_cast<float>(a);
      out[stride] = static_cast<float>(0.5 * (a + b + c));
      out[2 * stride] = static_cast<float>(0.5 * (a - b + c));
      out[3 * stride] = static_cast<float>(c);
    }
  }
}

class WinogradStep : public Step {
 public:
  WinogradStep(const DenseConv& conv, const ConvIo& io)
      : shape_(conv.shape),
        act_(conv.act),
        io_(io),
        set_(kernels()),
        channels_(shape_.in_c),
        n_(shape_.out_c),
        panels_((n_ + set_.panel - 1) / set_.panel),
        tiles_w_((shape_.out_w + 1) / 2),
        tiles_((shape_.out_h + 1) / 2 * tiles_w_),
        row_stride_(channels_ + 16),
        zeros_(channels_),
        bias_(panels_ * set_.panel) {
    inputs = {io.input};
    if (io.residual) inputs.push_back(io.residual->tensor);
    outputs = {io.output.tensor};
    info.kernel = "winograd";
    info.macs = shape_.batch * shape_.out_h * shape_.out_w * shape_.taps() * channels_ * n_;
    const int64_t max_tiles = std::clamp(kInputBytes / (kComponents * row_stride_ * 4), kMinTiles, kMaxTiles);
    blocks_ = (tiles_ + max_tiles - 1) / max_tiles;
    block_ = (tiles_ + blocks_ - 1) / blocks_;
    std::copy(conv.bias.begin(), conv.bias.end(), bias_.data());
    pack(conv.weights.data<float>());
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  // The work is cut into blocks of tiles, and, where there are few, into groups of panels.
  void run(RunContext& context) const override {
    const int64_t items = shape_.batch * blocks_, wanted = 2 * context.threads;
    const int64_t groups = context.threads == 1 || items >= wanted ? 1 : std::min(panels_, (wanted + items - 1) / items);
    for_each_chunk(context.threads, items * groups, 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t item = i / groups, group = i % groups;
        run_block(context, item / blocks_, item % blocks_, panels_ * group / groups, panels_ * (group + 1) / groups, ws);
      }
    });
  }

 private:
  struct Workspace {
    float* input;           // [16][block_][row_stride_], component_stride() apart
    float* sums;            // [16][block_][panel]
    const float** windows;  // [block_][16]
    int64_t* pixels;        // [block_][4]
    const void** rows;      // [block_]
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float* input = alloc.floats(kComponents * component_stride());
    float* sums = alloc.floats(kComponents * block_ * set_.panel);
    auto* windows = reinterpret_cast<const float**>(alloc.bytes(block_ * kComponents * static_cast<int64_t>(sizeof(float*))));
    auto* pixels = reinterpret_cast<int64_t*>(alloc.bytes(block_ * 4 * static_cast<int64_t>(sizeof(int64_t))));
    return {input, sums, windows, pixels,
            reinterpret_cast<const void**>(alloc.bytes(block_ * static_cast<int64_t>(sizeof(void*))))};
  }
  // Components do not begin in the same sets of the cache.
  int64_t component_stride() const { return block_ * row_stride_ + 16; }

  int64_t panel_size() const { return channels_ * set_.panel; }

  void pack(const float* filter) {
    weights_ = FloatBuffer(panels_ * kComponents * panel_size());
    for (int64_t p = 0; p < panels_; ++p)
      for (int64_t c = 0; c < channels_; ++c)
        transform_columns(filter + c * n_ + p * set_.panel, channels_ * n_, std::min<int64_t>(set_.panel, n_ - p * set_.panel),
                          weights_.data() + p * kComponents * panel_size() + c * set_.panel, panel_size());
    for (int i = 0; i < kComponents; ++i)
      for (int64_t c = 0; c < channels_; c += kTileSegment)
        segments_.push_back({i * component_stride() + c, std::min(kTileSegment, channels_ - c)});
  }

  void run_block(const RunContext& context, int64_t n, int64_t block, int64_t first_panel, int64_t last_panel,
                 const Workspace& ws) const {
    const int64_t first = tiles_ * block / blocks_, tiles = tiles_ * (block + 1) / blocks_ - first;
    const float* image = context.in(io_.input) + n * shape_.in_h * shape_.in_w * channels_;
    for (int64_t t = 0; t < tiles; ++t) locate(image, first + t, ws.windows + t * kComponents, ws.pixels + t * 4);
    set_.winograd_input(ws.windows, tiles, channels_, ws.input, row_stride_, component_stride());
    for (int64_t t = 0; t < tiles; ++t) ws.rows[t] = ws.input + t * row_stride_;
    const int64_t result = n * shape_.out_h * shape_.out_w * n_;
    Epilogue end{bias_.data(), act_};
    if (io_.residual) {
      end.residual = context.in(io_.residual->tensor) + result;
      end.residual_stride = n_;
      end.residual_first = io_.residual_first;
    }
    const WinogradResults to{context.out(io_.output.tensor) + result, n_, n_, &end};
    for (int64_t p = first_panel; p < last_panel; ++p) {
      multiply(ws, tiles, p);
      set_.winograd_output(ws.sums, tiles, ws.pixels, to, p);
    }
  }

  // The pixels of a tile's window, those outside the image zeros, and of its results, those outside -1.
  void locate(const float* image, int64_t tile, const float** window, int64_t* results) const {
    const int64_t y0 = tile / tiles_w_ * 2, x0 = tile % tiles_w_ * 2;
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t j = 0; j < 4; ++j) {
        const int64_t y = y0 - shape_.pad_top + i, x = x0 - shape_.pad_left + j;
        const bool inside = y >= 0 && y < shape_.in_h && x >= 0 && x < shape_.in_w;
        *window++ = inside ? image + (y * shape_.in_w + x) * channels_ : zeros_.data();
      }
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t j = 0; j < 2; ++j) {
        const bool inside = y0 + i < shape_.out_h && x0 + j < shape_.out_w;
        *results++ = inside ? (y0 + i) * shape_.out_w + x0 + j : -1;
      }
  }

  // ws.sums of panel p.
  void multiply(const Workspace& ws, int64_t tiles, int64_t p) const {
    const int64_t segments = static_cast<int64_t>(segments_.size()) / kComponents;
    const Epilogue none{zero_bias_.data(), Act::none};
    for (int i = 0; i < kComponents; ++i) {
      const PackedF32Weights matrix{weights_.data() + (p * kComponents + i) * panel_size(), channels_,
                                    std::min<int64_t>(set_.panel, n_ - p * set_.panel)};
      set_.gemm_segments({ws.rows, segments_.data() + i * segments, segments}, tiles, matrix, 0, 1,
                         ws.sums + i * tiles * set_.panel, set_.panel, none);
    }
  }

  ConvShape shape_;
  Act act_;
  ConvIo io_;
  const KernelSet& set_;
  int64_t channels_, n_, panels_, tiles_w_, tiles_, row_stride_, blocks_ = 1, block_ = 1;
  FloatBuffer zeros_, bias_, weights_;  // weights_: [panels][16][channels][panel]
  std::vector<RowSegment> segments_;    // [16][segments of a row]
  FloatBuffer zero_bias_{64};           // of a panel
};

}  // namespace

bool prefers_winograd(const ConvShape& s) {
  if (s.kernel_h != 3 || s.kernel_w != 3 || s.stride_h != 1 || s.stride_w != 1 || s.dilation_h != 1 || s.dilation_w != 1)
    return false;
  return s.in_c >= 32 && s.out_c >= 32 && s.out_h * s.out_w >= 49;
}

std::unique_ptr<Step> make_winograd_conv(const DenseConv& conv, const ConvIo& io) {
  return std::make_unique<WinogradStep>(conv, io);
}

}  // namespace cytodet::exec
