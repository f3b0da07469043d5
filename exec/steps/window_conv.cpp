#include "exec/steps/window_conv.h"

#include <algorithm>
#include <utility>

#include "exec/steps/packed_conv.h"
#include "exec/steps/row_blocks.h"

namespace cytodet::exec {
namespace {

constexpr int64_t kSegment = 512;  // elements of a segment, at most
// Bytes of a band's input, about: it stays in the second cache while all panels pass over it. Bands are larger, and so fewer,
// where weights do not stay there and are read again for every band.
constexpr int64_t kBandBytes = 192 * 1024, kFewBandsBytes = 448 * 1024, kManyWeights = 512 * 1024;
// Whether vectors lie along the windows (KernelSet::gemm_columns): in float, with at most few_columns output channels, where
// every contiguous piece of a window fills a vector; of pointwise convolutions those of large maps. By the map alone: the number
// of images, which are the rows of a matrix product, must not change an answer.
bool takes_columns(const DenseConv& conv) {
  const ConvShape& s = conv.shape;
  const int64_t piece = s.dilation_w == 1 ? s.kernel_w * s.in_c : s.in_c;
  const bool large_map = s.out_h > 1 && s.out_h * s.out_w >= 16;
  return !conv.quant && !conv.bf16 && s.out_c <= kernels().few_columns && piece >= kernels().panel / 2 &&
         (large_map || !s.pointwise());
}

constexpr int64_t kColumnBands = 8;           // at least, of large maps by columns: threads share bands alone
constexpr int64_t kResultBytes = 128 * 1024;  // of a band's results, about, before they are stored in another type

// A step over bands of output rows, and, where there are few bands, over groups of panels.
class WindowConvStep : public Step {
 public:
  WindowConvStep(const DenseConv& conv, bool by_columns, const ConvIo& io)
      : shape_(conv.shape),
        io_(io),
        set_(kernels()),
        packed_(set_, conv),
        results_(set_, io.output, packed_.n),
        stores_itself_(packed_.quantized && results_.stored_by_products()),
        act_(packed_.act_of(conv.act, 0, packed_.panels(), io.residual && io.residual_first)),
        element_bytes_(packed_.quantized ? 4 / packed_.group() : 4),
        layout_(conv.shape, element_bytes_, packed_.quantized || conv.shape.is_volume()) {
    if (io.residual) residual_.emplace(set_, *io.residual, packed_.n, io.residual_first, stores_itself_);
    if (by_columns) pack_columns(conv.weights.data<float>());
    inputs = {io.input};
    if (io.residual) inputs.push_back(io.residual->tensor);
    outputs = {io.output.tensor};
    info.kernel = packed_.prefix() + std::string("window_gemm");
    const bool many_weights = packed_.k * packed_.n * element_bytes_ > kManyWeights;
    const int64_t row_bytes = shape_.in_w * shape_.in_c * element_bytes_;
    band_ = (many_weights ? kFewBandsBytes : kBandBytes) / (row_bytes * shape_.stride_h * shape_.depth.kernel);
    const int64_t converted =
        (stores_itself_ ? 0 : results_.scratch(1)) + (residual_ ? residual_->scratch(1) : 0);  // floats of a result
    if (converted > 0) band_ = std::min(band_, kResultBytes / (4 * shape_.out_w * converted));
    if (by_columns) band_ = std::min(band_, std::max<int64_t>(64 / shape_.out_w, shape_.out_h / kColumnBands));
    band_ = std::clamp<int64_t>(band_, 1, shape_.out_h);
    const int64_t bands = (shape_.out_h + band_ - 1) / band_;
    band_ = (shape_.out_h + bands - 1) / bands;
    layout_.stack_planes(band_);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const RowBlocks bands{shape_.out_planes(), shape_.out_h, band_};
    const int64_t items = bands.count(), wanted = 2 * context.threads;
    const int64_t groups =
        context.threads == 1 || items >= wanted || columns_.size() ? 1 : std::min(packed_.panels(), (wanted + items - 1) / items);
    for_each_chunk(context.threads, items * groups, 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t i = begin; i < end; ++i) {
        const RowBlock rows = bands.at(i / groups);
        const int64_t group = i % groups;
        const Band band{rows.image, rows.first, rows.rows, packed_.panels() * group / groups,
                        packed_.panels() * (group + 1) / groups};
        if (!packed_.quantized)
          prepare_floats(context, band, ws);
        else if (packed_.group() == 4)
          prepare_q8<uint8_t>(context, band, ws);
        else
          prepare_q8<int16_t>(context, band, ws);
        multiply(context, band, ws);
      }
    });
  }

 private:
  struct Band {
    int64_t plane, y0, rows, first_panel, last_panel;  // plane: of the output, batch and depth in one
  };
  struct Workspace {
    uint8_t* band;         // a copy of the band's input rows
    uint8_t* row;          // one of them, converted
    const void** windows;  // [rows * out_w]
    float* residual;       // [rows * out_w][n], converted to floats
    float* results;        // [rows * out_w][n] before they are stored in another type
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    const int64_t pixels = band_ * shape_.out_w;
    uint8_t* band = alloc.bytes(layout_.band_size(band_) * element_bytes_);
    uint8_t* row = packed_.quantized ? alloc.bytes((shape_.in_w * shape_.in_c + 64) * element_bytes_) : nullptr;
    auto** windows = reinterpret_cast<const void**>(alloc.bytes(pixels * static_cast<int64_t>(sizeof(void*))));
    float* residual = residual_ ? alloc.floats(residual_->scratch(pixels)) : nullptr;
    return {band, row, windows, residual, alloc.floats(stores_itself_ ? 0 : results_.scratch(pixels))};
  }

  void prepare_floats(const RunContext& context, const Band& b, const Workspace& ws) const {
    const int64_t row = shape_.in_w * shape_.in_c, image = shape_.in_h * row;
    const float* in = context.in(io_.input);
    auto* band = reinterpret_cast<float*>(ws.band);
    if (layout_.copies)
      layout_.copy_planes([&](int64_t plane, int64_t y) { return in + plane * image + y * row; }, b.plane, b.y0, b.rows, 0.0f,
                          band);
    layout_.windows(layout_.copies ? band : in + b.plane * image + b.y0 * layout_.stride_h * layout_.row_stride, b.rows,
                    ws.windows);
  }

  template <class T>
  void prepare_q8(const RunContext& context, const Band& b, const Workspace& ws) const {
    const FeatureMap map = context.feature_map(io_.input);
    const int64_t row = shape_.in_w * shape_.in_c;
    auto* band = reinterpret_cast<T*>(ws.band);
    const auto image_row = [&](int64_t plane, int64_t y) {
      return reinterpret_cast<const T*>(packed_.converted_image_row(map, (plane * shape_.in_h + y) * row, row, ws.row));
    };
    layout_.copy_planes(image_row, b.plane, b.y0, b.rows, static_cast<T>(packed_.image_zero()), band);
    layout_.windows(band, b.rows, ws.windows);
  }

  void multiply(const RunContext& context, const Band& b, const Workspace& ws) const {
    const int64_t pixel = (b.plane * shape_.out_h + b.y0) * shape_.out_w, pixels = b.rows * shape_.out_w;
    Epilogue e{packed_.bias(), act_};
    if (stores_itself_) results_.store_by(context, pixel, e);
    if (residual_) residual_->add_to(e, context, pixel, pixels, ws.residual);
    const SegmentedRows rows{ws.windows, layout_.segments.data(), static_cast<int64_t>(layout_.segments.size())};
    float* c = results_.floats(context, pixel, ws.results);
    if (columns_.size())
      set_.gemm_columns(rows, pixels, {columns_.data(), packed_.n, column_stride()}, c, e);
    else if (!packed_.quantized)
      set_.gemm_segments(rows, pixels, packed_.matrix(), b.first_panel, b.last_panel, c, packed_.n, e);
    else
      packed_.multiply_segments(rows, pixels, b.first_panel, b.last_panel, c, packed_.n, e);
    const int64_t first = b.first_panel * packed_.panel, last = std::min(packed_.n, b.last_panel * packed_.panel);
    if (results_.storage() != StorageType::f32 && !stores_itself_)
      results_.store_columns(context, pixel, pixels, first, last - first, c + first, packed_.n);
  }

  int64_t column_stride() const { return packed_.k + set_.panel / 2; }
  // Weights [k][n], column after column.
  void pack_columns(const float* weights) {
    columns_ = FloatBuffer(packed_.n * column_stride());
    std::fill_n(columns_.data(), columns_.size(), 0.0f);
    for (int64_t k = 0; k < packed_.k; ++k)
      for (int64_t n = 0; n < packed_.n; ++n) columns_.data()[n * column_stride() + k] = weights[k * packed_.n + n];
  }

  ConvShape shape_;
  ConvIo io_;
  const KernelSet& set_;
  PackedDense packed_;
  FloatBuffer columns_;  // of few columns (KernelSet::gemm_columns); else empty
  ResultRows results_;
  const bool stores_itself_;  // products store their results themselves
  Act act_;
  int64_t element_bytes_;
  WindowLayout layout_;
  std::optional<ResidualRows> residual_;
  int64_t band_;
};

}  // namespace

WindowLayout::WindowLayout(const ConvShape& s, int64_t element_bytes, bool copy)
    : shape(s), copies(copy), stride_h(s.stride_h), stride_w(s.stride_w) {
  // Pixels at such distances share few sets of the first cache, which then cannot hold those of a tile.
  const bool crowded = s.in_c * element_bytes % 2048 == 0;
  int64_t width = (s.out_w - 1) * s.stride_w + s.window_w();  // that windows cover
  copies = copies || s.pad_left > 0 || s.pad_top > 0 || width > s.in_w || band_rows(s.out_h) > s.in_h || crowded;
  if (copies && s.kernel_h == 1 && s.kernel_w == 1) {
    skip_h = std::exchange(stride_h, 1);
    skip_w = std::exchange(stride_w, 1);
    width = s.out_w;
  }
  pixel_stride = crowded ? s.in_c + 64 / element_bytes : s.in_c;
  row_stride = copies ? width * pixel_stride : s.in_w * s.in_c;
  const bool whole_rows = s.dilation_w == 1 && pixel_stride == s.in_c;
  const int64_t run = whole_rows ? s.kernel_w * s.in_c : s.in_c;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky)
    for (int64_t kx = 0; kx < (whole_rows ? 1 : s.kernel_w); ++kx)
      for (int64_t first = 0; first < run; first += kSegment) {
        const int64_t tap = ky * s.dilation_h * row_stride + kx * s.dilation_w * pixel_stride;
        segments.push_back({tap + first, std::min(kSegment, run - first)});
      }
}

int64_t WindowLayout::band_rows(int64_t out_rows) const { return (out_rows - 1) * stride_h + shape.window_h(); }

void WindowLayout::stack_planes(int64_t max_out_rows) {
  plane_stride = band_rows(max_out_rows) * row_stride;
  const std::vector<RowSegment> plane = segments;
  for (int64_t tap = 1; tap < shape.depth.kernel; ++tap)
    for (const RowSegment& s : plane) segments.push_back({tap * plane_stride + s.offset, s.length});
}

template <class T, class ImageRow>
void WindowLayout::copy_planes(ImageRow image_row, int64_t out_plane, int64_t y0, int64_t out_rows, T zero, T* band) const {
  const ConvDepth& d = shape.depth;
  for (int64_t tap = 0; tap < d.kernel; ++tap, band += plane_stride) {
    const int64_t z = d.plane(out_plane % d.out, tap), plane = out_plane / d.out * d.in + z;
    if (z >= 0 && z < d.in)
      copy_band([&](int64_t y) { return image_row(plane, y); }, y0, out_rows, zero, band);
    else
      std::fill_n(band, band_rows(out_rows) * row_stride, zero);
  }
}

template <class T, class ImageRow>
void WindowLayout::copy_band(ImageRow image_row, int64_t y0, int64_t out_rows, T zero, T* band) const {
  const ConvShape& s = shape;
  const int64_t width = row_stride / pixel_stride;
  // Columns [first, last) of the band lie inside the image.
  const int64_t first = std::min<int64_t>((s.pad_left + skip_w - 1) / skip_w, width);
  const int64_t last = std::clamp((s.in_w + s.pad_left + skip_w - 1) / skip_w, first, width);
  for (int64_t i = 0; i < band_rows(out_rows); ++i, band += row_stride) {
    const int64_t y = y0 * s.stride_h - s.pad_top + i * skip_h;
    if (y < 0 || y >= s.in_h) {
      std::fill_n(band, row_stride, zero);
      continue;
    }
    const T* from = image_row(y) + (first * skip_w - s.pad_left) * s.in_c;
    std::fill_n(band, first * pixel_stride, zero);
    if (pixel_stride == s.in_c && skip_w == 1)
      std::copy_n(from, (last - first) * s.in_c, band + first * pixel_stride);
    else
      for (int64_t x = first; x < last; ++x, from += skip_w * s.in_c) std::copy_n(from, s.in_c, band + x * pixel_stride);
    std::fill_n(band + last * pixel_stride, (width - last) * pixel_stride, zero);
  }
}

namespace {

constexpr int64_t kImageChannels = 4;

// A stem in 8 bits with VNNI: a row of its window is a few bytes more than whole groups of four, so that columns of zero weights
// at its end make groups of it. That costs some products and saves all copies of patches.
int whole_kernel_width(const ConvShape& s) {
  int width = s.kernel_w;
  while (width * s.in_c % 4 != 0) ++width;
  return width;
}
bool is_stem(const DenseConv& conv) {
  const ConvShape& s = conv.shape;
  return conv.quant && kernels().q8.group == 4 && s.in_c <= kImageChannels && s.kernel_w > 1 && s.dilation_w == 1 &&
         whole_kernel_width(s) * 3 <= s.kernel_w * 4;
}

// The convolution with its windows made wider on the right by columns of zero weights.
DenseConv widened(const DenseConv& conv, int kernel_w) {
  DenseConv wide = conv;
  const ConvShape& s = conv.shape;
  wide.shape.kernel_w = kernel_w;
  const Tensor& values = conv.quant->weights.values;
  Tensor& to = wide.quant->weights.values;
  const int64_t rows = int64_t{s.depth.kernel} * s.kernel_h;
  to = Tensor(values.dtype(), {rows, kernel_w, s.in_c, s.out_c});  // zeros
  const int64_t row = s.kernel_w * s.in_c * s.out_c, wide_row = kernel_w * s.in_c * s.out_c;
  for (int64_t y = 0; y < rows; ++y) std::copy_n(values.data<int8_t>() + y * row, row, to.data<int8_t>() + y * wide_row);
  return wide;
}

}  // namespace

bool reads_windows(const DenseConv& conv) {
  const ConvShape& s = conv.shape;
  if (conv.quant) return !s.pointwise() && (s.in_c % k16BitSafeRows == 0 || is_stem(conv));
  // Few rows would be as fast either way; of a matrix product they are images, whose number must not change an answer.
  const bool many_rows = s.out_h == 1 || s.out_h * s.out_w >= 12;
  return !conv.bf16 && (!s.pointwise() || takes_columns(conv) || (s.in_c % 1024 == 0 && many_rows));
}

std::unique_ptr<Step> make_window_conv(const DenseConv& conv, const ConvIo& io) {
  const bool by_columns = takes_columns(conv);
  DenseConv one = conv;
  ConvShape& s = one.shape;
  if (s.pointwise()) {  // any number of its pixels make a band
    s.in_h = s.out_h = s.out_h * s.out_w;
    s.in_w = s.out_w = 1;
  }
  const bool whole = !conv.quant || s.in_c % k16BitSafeRows == 0;
  auto step = std::make_unique<WindowConvStep>(whole ? one : widened(one, whole_kernel_width(s)), by_columns, io);
  step->info.macs = s.out_planes() * s.out_h * s.out_w * s.taps() * s.in_c * s.out_c;
  return step;
}

}  // namespace cytodet::exec
