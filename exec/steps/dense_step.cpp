#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "exec/steps/packed_conv.h"
#include "exec/steps/window_conv.h"
#include "exec/steps/winograd_conv.h"

namespace cytodet::exec {
namespace {

// Pointwise convolutions, and those in 8 bits or on bf16.
class DenseStep : public Step {
 public:
  DenseStep(const DenseConv& conv, const ConvIo& io)
      : shape_(conv.shape),
        open_rows_(conv.open_rows),
        act_(conv.act),
        io_(io),
        set_(kernels()),
        packed_(set_, conv),
        results_(set_, io.output, packed_.n),
        stores_itself_(packed_.quantized && results_.stored_by_products()) {
    if (io.residual) residual_.emplace(set_, *io.residual, packed_.n, io.residual_first, stores_itself_);
    act_ = packed_.act_of(act_, 0, packed_.panels(), io.residual && io.residual_first);
    inputs = {io.input};
    if (io.gate >= 0) inputs.push_back(io.gate);
    if (io.residual) inputs.push_back(io.residual->tensor);
    outputs = {io.output.tensor};
    info.kernel = packed_.prefix() + std::string(shape_.pointwise() ? "gemm" : "patches_gemm");
    info.macs = shape_.batch * shape_.out_h * shape_.out_w * packed_.k * packed_.n;
    row_block_ = std::max<int64_t>(1, 64 / std::max<int64_t>(1, shape_.out_w));
    // Converted rows that stay in the cache while all panels pass over them.
    converted_block_ = std::clamp<int64_t>(96 * 1024 / packed_.row_bytes(), kRows, 480) / kRows * kRows;
    if (results_scratch(1) > 0 || (residual_ && residual_->scratch(1) > 0))
      converted_block_ = std::clamp<int64_t>(96 * 256 / packed_.n, kRows, converted_block_) / kRows * kRows;
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    if (open_rows_) allocate_rows(context);
    for (int64_t n = 0; n < shape_.batch; ++n) {
      PackedF32Weights matrix = packed_.matrix();
      if (io_.gate >= 0 && !packed_.converts) {
        ScratchAllocator alloc(context.scratch);
        float* scaled = workspace(alloc).weights;
        set_.scale_rows(matrix, context.in(io_.gate) + n * shape_.in_c, scaled);
        matrix.data = scaled;
      }
      if (shape_.pointwise() && packed_.converts)
        run_converted(context, n);
      else if (shape_.pointwise())
        run_pointwise(context, n, matrix);
      else
        run_patches(context, n);
    }
  }

 private:
  struct Workspace {
    float* weights;      // multiplied by the gate
    uint8_t* converted;  // [rows] packed rows of the product
    uint8_t* image;      // converted rows of the image, of which patches are cut
    float* residual;     // [rows][n], converted to floats
    float* results;      // [rows][n] before they are stored in another type
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float* weights = io_.gate >= 0 && !packed_.converts ? alloc.floats(packed_.matrix_size()) : nullptr;
    if (!packed_.converts) return {weights, nullptr, nullptr, nullptr, nullptr};
    const bool patched = !shape_.pointwise();
    const int64_t rows = patched ? row_block_ * shape_.out_w : converted_block_;
    uint8_t* converted = alloc.bytes(rows * packed_.row_bytes());
    uint8_t* image = patched ? alloc.bytes(packed_.image_bytes(shape_, row_block_)) : nullptr;
    float* residual = residual_ ? alloc.floats(residual_->scratch(rows)) : nullptr;
    return {weights, converted, image, residual, alloc.floats(results_scratch(rows))};
  }
  int64_t results_scratch(int64_t rows) const { return stores_itself_ ? 0 : results_.scratch(rows); }
  void store(const RunContext& context, int64_t pixel, int64_t pixels, const Workspace& ws) const {
    if (!stores_itself_) results_.store(context, pixel, pixels, ws.results);
  }

  // Pixels of an image; all rows where the product has open rows.
  int64_t pixels_of(const RunContext& context) const {
    return open_rows_ ? context.tensors[static_cast<size_t>(io_.input)].size() / packed_.k : shape_.out_h * shape_.out_w;
  }
  void allocate_rows(RunContext& context) const {
    Shape shape = context.tensors[static_cast<size_t>(io_.input)].shape();
    if (shape.empty() || shape.back() != packed_.k)
      throw Error("node " + info.name,
                  "multiplies rows of " + std::to_string(packed_.k) + " numbers, and gets " + to_string(shape));
    shape.back() = packed_.n;
    open_output(context, io_.output.tensor, shape);
  }

  // For `pixels` pixels from `pixel` on; `residual` is scratch for their residual.
  Epilogue epilogue(RunContext& context, int64_t pixel, int64_t pixels, float* residual) const {
    Epilogue e{packed_.bias(), act_};
    if (stores_itself_) results_.store_by(context, pixel, e);
    if (residual_) residual_->add_to(e, context, pixel, pixels, residual);
    return e;
  }

  void run_pointwise(RunContext& context, int64_t n, const PackedF32Weights& matrix) const {
    const int64_t pixels = pixels_of(context), first = n * pixels;
    const auto part = [&](int64_t begin, int64_t end, int64_t panel_begin, int64_t panel_end) {
      set_.gemm(context.in(io_.input) + (first + begin) * packed_.k, packed_.k, end - begin, matrix, panel_begin, panel_end,
                context.out(io_.output.tensor) + (first + begin) * packed_.n, packed_.n,
                epilogue(context, first + begin, end - begin, nullptr));
    };
    if (pixels >= kFloatRows * 2 * context.threads)
      for_each_chunk(context.threads, (pixels + kFloatRows - 1) / kFloatRows, 1, [&](int64_t b, int64_t e, int) {
        part(b * kFloatRows, std::min(pixels, e * kFloatRows), 0, packed_.panels());
      });
    else
      for_each_chunk(context.threads, packed_.panels(), 1, [&](int64_t b, int64_t e, int) { part(0, pixels, b, e); });
  }

  void run_converted(RunContext& context, int64_t n) const {
    const int64_t pixels = pixels_of(context), first = n * pixels;
    const float* gate = io_.gate >= 0 ? context.in(io_.gate) + n * shape_.in_c : nullptr;
    const auto scratch = [&](int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      return workspace(alloc);
    };
    const auto convert = [&](int64_t row, int64_t rows, const Workspace& ws) {
      return packed_.converted(context.feature_map(io_.input), first + row, rows, gate, ws.converted);
    };
    const auto multiply = [&](const uint8_t* converted, int64_t row, int64_t rows, int64_t panel_begin, int64_t panel_end,
                              const Workspace& ws, const Epilogue& e) {
      packed_.multiply(converted, rows, panel_begin, panel_end, results_.floats(context, first + row, ws.results), packed_.n, e);
    };
    const auto for_each_block = [&](int64_t begin, int64_t end, const auto& body) {
      for (int64_t row = begin; row < end; row += converted_block_) body(row, std::min(converted_block_, end - row));
    };
    const int64_t tiles = (pixels + kRows - 1) / kRows;
    if (pixels >= kRows * 2 * context.threads)
      for_each_chunk(context.threads, tiles,
                     std::min(converted_block_ / kRows, std::max<int64_t>(1, tiles / (2 * context.threads))),
                     [&](int64_t b, int64_t e, int thread) {
                       const Workspace ws = scratch(thread);
                       for_each_block(b * kRows, std::min(pixels, e * kRows), [&](int64_t row, int64_t rows) {
                         multiply(convert(row, rows, ws), row, rows, 0, packed_.panels(), ws,
                                  epilogue(context, first + row, rows, ws.residual));
                         store(context, first + row, rows, ws);
                       });
                     });
    else
      for_each_block(0, pixels, [&](int64_t row, int64_t rows) {
        const Workspace ws = scratch(0);
        const uint8_t* converted = convert(row, rows, ws);
        const Epilogue epilogue_of_rows = epilogue(context, first + row, rows, ws.residual);
        for_each_chunk(context.threads, packed_.panels(), 1,
                       [&](int64_t b, int64_t e, int) { multiply(converted, row, rows, b, e, ws, epilogue_of_rows); });
        store(context, first + row, rows, ws);
      });
  }

  void run_patches(RunContext& context, int64_t n) const {
    const FeatureMap map = context.feature_map(io_.input);
    const int64_t image = n * shape_.in_h * shape_.in_w * shape_.in_c;
    for_each_chunk(context.threads, (shape_.out_h + row_block_ - 1) / row_block_, 1, [&](int64_t b, int64_t e, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t block = b; block < e; ++block) {
        const int64_t y0 = block * row_block_, y1 = std::min(shape_.out_h, y0 + row_block_);
        const int64_t pixel = (n * shape_.out_h + y0) * shape_.out_w, rows = (y1 - y0) * shape_.out_w;
        packed_.convert_patches(shape_, map, image, y0, y1, ws.image, ws.converted);
        packed_.multiply(ws.converted, rows, 0, packed_.panels(), results_.floats(context, pixel, ws.results), packed_.n,
                         epilogue(context, pixel, rows, ws.residual));
        store(context, pixel, rows, ws);
      }
    });
  }

  ConvShape shape_;
  const bool open_rows_;
  Act act_;
  ConvIo io_;
  const KernelSet& set_;
  PackedDense packed_;
  ResultRows results_;
  const bool stores_itself_;  // products store their results themselves
  std::optional<ResidualRows> residual_;
  static constexpr int64_t kRows = 12, kFloatRows = 28;  // whole tiles of rows, in 8 bits and in float
  int64_t row_block_ = 1, converted_block_ = kRows;
};

}  // namespace

std::unique_ptr<Step> make_dense_conv(const DenseConv& conv, const ConvIo& io) {
  if (conv.open_rows) return std::make_unique<DenseStep>(conv, io);
  if (!conv.quant && !conv.bf16 && !conv.shape.is_volume() && prefers_winograd(conv.shape)) return make_winograd_conv(conv, io);
  if (reads_windows(conv) && io.gate < 0) return make_window_conv(conv, io);
  return std::make_unique<DenseStep>(conv, io);
}

}  // namespace cytodet::exec
