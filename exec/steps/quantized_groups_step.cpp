#include "exec/steps/quantized_groups_step.h"

#include <algorithm>
#include <cstring>

#include "exec/kernels/pack_weights.h"
#include "exec/steps/group_rows.h"
#include "exec/steps/packed_conv.h"
#include "exec/steps/row_blocks.h"

namespace cytodet::exec {
namespace {

// Computes a row of the result at a time, and in it as many groups as fill a panel: they are one product, whose matrix holds
// zeros between one group's inputs and another's outputs. Rows of the map are quantized once, and patches are cut from them.
// Groups that KernelSet::grouped_row_q8 takes are computed by it instead, all groups of a row at once.
class QuantizedGroupsStep : public Step {
 public:
  QuantizedGroupsStep(const GroupedConv& conv, const std::vector<StepInput>& in, const StepOutput& output)
      : s_(conv.shape),
        set_(kernels()),
        act_(conv.act),
        residual_first_(conv.residual_first),
        input_(in[0].tensor),
        bf16_(in[0].storage == StorageType::bf16),
        quant_(conv.quant->quant),
        params_(quant_, {}, s_.in_w * s_.in_c, set_.panel),
        results_(set_, output, s_.out_c) {
    if (in.size() > 1) residual_.emplace(set_, in[1], s_.out_c);
    for (const StepInput& input : in) inputs.push_back(input.tensor);
    outputs = {output.tensor};
    info.kernel = "int8_grouped_conv";
    const int64_t group_in = s_.in_c / conv.groups, group_out = s_.out_c / conv.groups;
    info.macs = info.int8_macs = s_.batch * s_.out_h * s_.out_w * s_.out_c * s_.taps() * group_in;
    info.bytes = conv.weights.size();
    const int64_t joined = std::max<int64_t>(1, set_.panel / group_out);
    if (in.size() == 1 && takes_group_rows(set_, conv)) rows_.emplace(set_, conv, params_);
    for (int64_t first = 0; !rows_ && first < conv.groups; first += joined)
      add_product(conv, first, std::min(joined, conv.groups - first), group_in, group_out);
    block_ = std::clamp<int64_t>(kBlockPixels / std::max<int64_t>(1, s_.out_w), 1, s_.out_h);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const RowBlocks blocks{s_.batch, s_.out_h, block_};
    for_each_chunk(context.threads, blocks.count(), 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t b = begin; b < end; ++b) run_rows(context, blocks.at(b), ws);
    });
  }

 private:
  static constexpr int64_t kBlockPixels = 56;

  // Input channels [first_in, first_in + in), output channels [first_out, first_out + out).
  struct GroupProduct {
    std::unique_ptr<PackedDense> packed;
    int64_t first_in, in, first_out;
  };
  // What KernelSet::grouped_row_q8 reads of all groups.
  struct PackedRows {
    PackedRows(const KernelSet& set, const GroupedConv& conv, const PackedQuantizeParams& params)
        : group(conv.shape.in_c / conv.groups),
          weights(pack_quantized_group_weights(set, conv)),
          bias(padded(set, conv.shape.out_c)),
          scales(padded(set, conv.shape.out_c)),
          corrections(padded(set, conv.shape.out_c)),
          outside(conv.shape.in_c + set.panel) {
      const QuantizedWeights& w = conv.quant->weights;
      for (int64_t c = 0; c < conv.shape.out_c; ++c) {
        bias.data()[c] = conv.bias.empty() ? 0 : conv.bias[static_cast<size_t>(c)];
        scales.data()[c] = conv.quant->quant.scale * w.scale_of(static_cast<size_t>(c));
      }
      add_zero_point_corrections(w.values.data<int8_t>(), w.values.size() / conv.shape.out_c, conv.shape.out_c,
                                 static_cast<int>(params.qmin), corrections.data());
      std::fill_n(outside.data(), outside.size(), static_cast<uint8_t>(-params.qmin));
    }
    static int64_t padded(const KernelSet& set, int64_t channels) { return (channels + set.panel - 1) / set.panel * set.panel; }

    int64_t group;
    Buffer<int8_t> weights;
    FloatBuffer bias, scales;
    Buffer<int32_t> corrections;
    Buffer<uint8_t> outside;  // a pixel of zeros
  };
  struct Workspace {
    uint8_t *bytes, *pairs;  // the rows that a block reads as bytes and as 16-bit integers; null where no product reads such
    uint8_t* patches;
    float *residual, *results;
    float* row;              // of a map of bf16 values
    const uint8_t** pixels;  // GroupedRow::pixels
  };

  bool reads(int group) const {
    return std::any_of(products_.begin(), products_.end(), [&](const GroupProduct& p) { return p.packed->group() == group; });
  }
  static int64_t element_bytes(int group) { return group == 4 ? 1 : 2; }
  int64_t row_bytes(int group) const { return row_groups(s_.in_w * s_.in_c, group) * 4; }
  Workspace workspace(ScratchAllocator& alloc) const {
    int64_t patch = 0;
    for (const GroupProduct& p : products_) patch = std::max(patch, p.packed->row_bytes());
    Workspace ws;
    const int64_t pixels = block_ * s_.out_w;
    ws.bytes = rows_ || reads(4) ? alloc.bytes(s_.rows_read(block_) * row_bytes(4) + set_.panel) : nullptr;
    ws.pairs = reads(2) ? alloc.bytes(s_.rows_read(block_) * row_bytes(2)) : nullptr;
    ws.patches = alloc.bytes(pixels * patch);
    ws.residual = alloc.floats(residual_ ? residual_->scratch(pixels) : 0);
    ws.results = alloc.floats(results_.scratch(pixels));
    ws.row = alloc.floats(bf16_ ? s_.in_w * s_.in_c : 0);
    const int64_t pointers = rows_ ? s_.taps() * s_.out_w * static_cast<int64_t>(sizeof(uint8_t*)) : 0;
    ws.pixels = reinterpret_cast<const uint8_t**>(alloc.bytes(pointers));
    return ws;
  }

  void add_product(const GroupedConv& conv, int64_t first, int64_t groups, int64_t group_in, int64_t group_out) {
    DenseConv dense;
    dense.shape = conv.shape;
    dense.shape.in_c = groups * group_in;
    dense.shape.out_c = groups * group_out;
    const int64_t taps = s_.taps(), in = dense.shape.in_c, out = dense.shape.out_c, first_out = first * group_out;
    const Shape filter{s_.kernel_h, s_.kernel_w, in, out};
    const QuantizedWeights& w = conv.quant->weights;
    dense.weights = Tensor(DType::f32, filter);
    QuantizedWeights part{Tensor(DType::i8, filter), {}};
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t i = 0; i < in; ++i) {
        const int64_t own = i / group_in * group_out;  // the outputs of this input's group
        const int64_t from = (t * group_in + i % group_in) * s_.out_c + first_out + own, to = (t * in + i) * out + own;
        std::copy_n(w.values.data<int8_t>() + from, group_out, part.values.data<int8_t>() + to);
        std::copy_n(conv.weights.data<float>() + from, group_out, dense.weights.data<float>() + to);
      }
    const auto channels = [&](const std::vector<float>& all) {
      return all.size() == 1 ? all : std::vector<float>(all.begin() + first_out, all.begin() + first_out + out);
    };
    part.scales = channels(w.scales);
    if (!conv.bias.empty()) dense.bias = channels(conv.bias);
    dense.bias.resize(static_cast<size_t>(out));
    dense.quant = QuantizedConv{conv.quant->input, quant_, std::move(part)};
    products_.push_back({std::make_unique<PackedDense>(set_, dense), first * group_in, in, first_out});
  }

  // Row `row` of the maps of all images, as the products read it.
  void quantize_row(const RunContext& context, int64_t row, const Workspace& ws, int64_t slot) const {
    const FeatureMap map = context.feature_map(input_);
    const int64_t columns = s_.in_w * s_.in_c, first = row * columns;
    if (bf16_) set_.bf16_to_f32(map.bf16(first), columns, ws.row);
    const auto convert = [&](const Q8Kernels& q8, uint8_t* out) {
      if (map.storage == StorageType::q8)
        q8.repack_q8(map.q8(first), 1, columns, params_.qmin, out);
      else if (map.storage == StorageType::f16)
        q8.pack_q8_f16(map.f16(first), columns, 1, columns, nullptr, params_.params(), out);
      else
        q8.pack_q8(bf16_ ? ws.row : map.f32(first), columns, 1, columns, nullptr, params_.params(), out);
    };
    if (ws.bytes) convert(set_.q8.group == 4 ? set_.q8 : set_.q8_16bit_safe, ws.bytes + slot * row_bytes(4));
    if (ws.pairs) convert(set_.q8, ws.pairs + slot * row_bytes(2));
  }

  // A block of rows of the result.
  void run_rows(const RunContext& context, const RowBlock& block, const Workspace& ws) const {
    const auto [image, y, count] = block;
    const int64_t top = y * s_.stride_h - s_.pad_top, pixel = (image * s_.out_h + y) * s_.out_w, pixels = count * s_.out_w;
    for (int64_t i = 0; i < s_.rows_read(count); ++i)
      if (is_inside(top + i)) quantize_row(context, image * s_.in_h + top + i, ws, i);
    const float* residual = residual_ ? residual_->values(context, pixel, pixels, ws.residual) : nullptr;
    float* out = results_.floats(context, pixel, ws.results);
    for (int64_t r = 0; rows_ && r < count; ++r) make_row(top, r, ws, out + r * s_.out_w * s_.out_c);
    for (const GroupProduct& p : products_) {
      for (int64_t r = 0; r < count; ++r) cut_patches(p, top, r, ws);
      Epilogue end;
      end.bias = p.packed->bias();
      end.act = p.packed->act_of(act_, 0, p.packed->panels(), residual && residual_first_);
      end.residual = residual ? residual + p.first_out : nullptr;
      end.residual_stride = s_.out_c;
      end.residual_first = residual_first_;
      p.packed->multiply(ws.patches, pixels, 0, p.packed->panels(), out + p.first_out, s_.out_c, end);
    }
    results_.store(context, pixel, pixels, ws.results);
  }
  bool is_inside(int64_t y) const { return y >= 0 && y < s_.in_h; }

  // Row r of the block whose first window begins in row `top` of the map.
  void make_row(int64_t top, int64_t r, const Workspace& ws, float* out) const {
    const uint8_t* rows[kMaxGroupRows];
    for (int64_t i = 0; i < s_.window_h(); ++i) {
      const int64_t slot = r * s_.stride_h + i;
      rows[i] = is_inside(top + slot) ? ws.bytes + slot * row_bytes(4) : nullptr;
    }
    GroupedRow<uint8_t> job = group_row<uint8_t>(s_, rows_->group, rows, rows_->outside.data(), ws.pixels);
    job.weights = rows_->weights.data();
    job.bias = rows_->bias.data();
    job.scales = rows_->scales.data();
    job.zero_point_corrections = rows_->corrections.data();
    job.act = approximate_act(act_, std::numeric_limits<float>::infinity());
    job.out = out;
    set_.grouped_row_q8(job);
  }

  // The packed rows of a product for row r of the block whose first window begins in row `top` of the map: windows of its
  // channels, zeros of the quantized range outside of the map.
  void cut_patches(const GroupProduct& p, int64_t top, int64_t r, const Workspace& ws) const {
    const int group = p.packed->group();
    const int64_t size = element_bytes(group), pixel = s_.in_c * size, length = p.in * size;
    const uint8_t* rows = group == 4 ? ws.bytes : ws.pairs;
    const int64_t rest = p.packed->row_bytes() - s_.taps() * length;
    uint8_t* out = ws.patches + r * s_.out_w * p.packed->row_bytes();
    for (int64_t x = 0; x < s_.out_w; ++x) {
      for (int64_t ky = 0; ky < s_.kernel_h; ++ky) {
        const int64_t slot = r * s_.stride_h + ky * s_.dilation_h;
        const bool inside = is_inside(top + slot);
        for (int64_t kx = 0; kx < s_.kernel_w; ++kx, out += length) {
          const int64_t column = x * s_.stride_w - s_.pad_left + kx * s_.dilation_w;
          if (inside && column >= 0 && column < s_.in_w)
            copy_channels(rows + slot * row_bytes(group) + column * pixel + p.first_in * size, length, out);
          else
            std::memset(out, p.packed->image_zero(), static_cast<size_t>(length));
        }
      }
      std::memset(out, 0, static_cast<size_t>(rest));
      out += rest;
    }
  }
  static void copy_channels(const uint8_t* from, int64_t bytes, uint8_t* to) {
    if (bytes == 32)  // the usual one, as one move
      std::memcpy(to, from, 32);
    else
      std::memcpy(to, from, static_cast<size_t>(bytes));
  }

  ConvShape s_;
  const KernelSet& set_;
  Act act_;
  bool residual_first_;
  int input_;
  bool bf16_;
  QuantParams quant_;
  PackedQuantizeParams params_;  // of the elements of a row of the map
  ResultRows results_;
  std::optional<RowSource> residual_;
  std::optional<PackedRows> rows_;  // instead of products
  std::vector<GroupProduct> products_;
  int64_t block_ = 1;  // rows of the result
};

}  // namespace

std::unique_ptr<Step> make_quantized_groups(const GroupedConv& conv, const std::vector<StepInput>& inputs,
                                            const StepOutput& output) {
  return std::make_unique<QuantizedGroupsStep>(conv, inputs, output);
}

}  // namespace cytodet::exec
