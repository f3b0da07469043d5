#include "exec/steps/attention_step.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "exec/kernels/expression/expression.h"
#include "exec/kernels/pack_weights.h"
#include "exec/steps/row_blocks.h"

namespace cytodet::exec {
namespace {

// The distance between neighbours where all are equal; 0 of one element; -1 otherwise.
int64_t even_distance(const std::vector<int64_t>& places) {
  if (places.size() < 2) return 0;
  const int64_t step = places[1] - places[0];
  for (size_t i = 1; i < places.size(); ++i)
    if (places[i] - places[i - 1] != step) return -1;
  return step;
}
bool are_neighbours(const std::vector<int64_t>& places) { return places.size() == 1 || even_distance(places) == 1; }

// The right side of a product: matrices [k, n] that are packed into panels.
class RightSide {
 public:
  RightSide(const KernelSet& set, MatrixLayout places, float scale)
      : places_(std::move(places)),
        scale_(scale),
        panel_(set.panel),
        k_(static_cast<int64_t>(places_.rows.size())),
        n_(static_cast<int64_t>(places_.columns.size())),
        in_rows_(are_neighbours(places_.columns)),
        in_columns_(are_neighbours(places_.rows)) {}

  int64_t panels() const { return (n_ + panel_ - 1) / panel_; }
  int64_t floats() const { return packed_f32_size(k_, n_, panel_); }
  PackedF32Weights matrix(const float* packed) const { return {packed, k_, n_}; }
  // With the last panel's missing columns, which are zeros.
  PackedF32Weights whole_panels(const float* packed) const { return {packed, k_, panels() * panel_}; }

  void pack(const float* map, int64_t batch, float* out) const {
    const float* from = map + places_.batch[static_cast<size_t>(batch)];
    for (int64_t column = 0; column < n_; column += panel_, out += k_ * panel_) {
      const int64_t valid = std::min<int64_t>(panel_, n_ - column);
      if (in_rows_)
        pack_rows(from + places_.columns[static_cast<size_t>(column)], valid, out);
      else
        pack_columns(from, column, valid, out);
      if (scale_ != 1)
        for (int64_t i = 0; i < k_ * panel_; ++i) out[i] *= scale_;
    }
  }

 private:
  void pack_rows(const float* from, int64_t valid, float* out) const {
    for (int64_t i = 0; i < k_; ++i, out += panel_) {
      std::memcpy(out, from + places_.rows[static_cast<size_t>(i)], static_cast<size_t>(valid) * sizeof(float));
      std::fill(out + valid, out + panel_, 0.0f);
    }
  }
  // Squares, so that a line of the cache is read once.
  void pack_columns(const float* from, int64_t column, int64_t valid, float* out) const {
    constexpr int64_t kSide = 16;
    for (int64_t first = 0; first < k_; first += kSide) {
      const int64_t last = std::min(k_, first + kSide);
      for (int64_t j = 0; j < valid; ++j) {
        const float* line = from + places_.columns[static_cast<size_t>(column + j)];
        if (in_columns_)
          for (int64_t i = first; i < last; ++i) out[i * panel_ + j] = line[places_.rows[0] + i];
        else
          for (int64_t i = first; i < last; ++i) out[i * panel_ + j] = line[places_.rows[static_cast<size_t>(i)]];
      }
      for (int64_t i = first; i < last; ++i) std::fill(out + i * panel_ + valid, out + (i + 1) * panel_, 0.0f);
    }
  }

  MatrixLayout places_;
  float scale_;
  int64_t panel_, k_, n_;
  bool in_rows_, in_columns_;  // columns, or rows, are neighbours in the map
};

// The left side: rows of k floats, read where they lie, or gathered.
class LeftSide {
 public:
  explicit LeftSide(MatrixLayout places)
      : places_(std::move(places)),
        k_(static_cast<int64_t>(places_.columns.size())),
        distance_(even_distance(places_.rows)),
        direct_(are_neighbours(places_.columns) && distance_ >= 0) {}

  int64_t rows() const { return static_cast<int64_t>(places_.rows.size()); }
  int64_t k() const { return k_; }
  int64_t scratch(int64_t rows) const { return direct_ ? 0 : rows * k_; }
  int64_t stride() const { return direct_ ? std::max<int64_t>(distance_, 1) : k_; }
  const float* block(const float* map, int64_t batch, int64_t first, int64_t rows, float* scratch) const {
    const float* from = map + places_.batch[static_cast<size_t>(batch)];
    if (direct_) return from + places_.rows[static_cast<size_t>(first)] + places_.columns[0];
    for (int64_t r = 0; r < rows; ++r) {
      const float* line = from + places_.rows[static_cast<size_t>(first + r)];
      for (int64_t i = 0; i < k_; ++i) scratch[r * k_ + i] = line[places_.columns[static_cast<size_t>(i)]];
    }
    return scratch;
  }

 private:
  MatrixLayout places_;
  int64_t k_, distance_;
  bool direct_;
};

// Writes rows of `width` floats to their places in the output.
class ScatteredRows {
 public:
  ScatteredRows(const KernelSet& set, ResultLayout places, int64_t width, const StepOutput& output)
      : places_(std::move(places)), width_(width), results_(set, output, places_.channels) {}

  // The memory that rows [first, first + rows) are computed in: the output itself, or `scratch`, from which store() moves them.
  struct Target {
    float* to;
    int64_t stride;
    bool direct;
  };
  Target target(const RunContext& context, int tensor, int64_t first, int64_t rows, float* scratch) const {
    const bool direct = results_.storage() == StorageType::f32 && are_even(first, rows);
    return direct ? Target{context.out(tensor) + at(first), places_.channels, true} : Target{scratch, width_, false};
  }
  void store(const RunContext& context, int tensor, int64_t first, int64_t rows, const Target& from) const {
    if (from.direct) return;
    const int64_t run = are_even(first, rows) ? rows : 1;
    for (int64_t r = 0; r < rows; r += run) {
      const float* row = from.to + r * width_;
      const int64_t place = at(first + r);
      if (results_.storage() == StorageType::f32)
        std::memcpy(context.out(tensor) + place, row, static_cast<size_t>(width_) * sizeof(float));
      else
        results_.store_columns(context, place / places_.channels, run, place % places_.channels, width_, row, width_);
    }
  }

 private:
  int64_t at(int64_t row) const { return places_.rows[static_cast<size_t>(row)]; }
  // Whether the rows lie in the same channels of neighbouring pixels.
  bool are_even(int64_t first, int64_t rows) const {
    for (int64_t r = 1; r < rows; ++r)
      if (at(first + r) - at(first + r - 1) != places_.channels) return false;
    return true;
  }

  ResultLayout places_;
  int64_t width_;
  ResultRows results_;
};

int64_t padded_columns(int64_t n, int64_t panel) { return (n + panel - 1) / panel * panel; }

// Runs work(batch, first row, rows, thread, whether the batch is a new one of this thread) for blocks of rows of every matrix.
template <class Work>
void for_each_row_block(RunContext& context, int64_t batch, int64_t rows, int64_t block, Work work) {
  const RowBlocks blocks{batch, rows, block};
  // Whole matrices, unless they are too few for the threads.
  const int64_t min_chunk = batch >= 4 * context.threads ? blocks.per_image() : (blocks.per_image() + 1) / 2;
  for_each_chunk(context.threads, blocks.count(), min_chunk, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) {
      const RowBlock b = blocks.at(i);
      work(b.image, b.first, b.rows, thread, i == begin || b.first == 0);
    }
  });
}

class ComputedProductStep : public Step {
 public:
  ComputedProductStep(const ComputedProduct& product, const StepInput& a, const StepInput& b, const StepOutput& output)
      : set_(kernels()),
        batch_(static_cast<int64_t>(product.a.batch.size())),
        n_(static_cast<int64_t>(product.b.columns.size())),
        left_(product.a),
        right_(set_, product.b, product.scale),
        results_(set_, product.result, n_, output),
        no_bias_(padded_columns(n_, set_.panel)) {
    inputs = {a.tensor, b.tensor};
    outputs = {output.tensor};
    info.kernel = "matmul";
    info.macs = batch_ * left_.rows() * left_.k() * n_;
    block_ = std::clamp<int64_t>(kBlock / std::max(n_, left_.k()) / kRows, 1, (left_.rows() + kRows - 1) / kRows) * kRows;
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    for_each_row_block(context, batch_, left_.rows(), block_,
                       [&](int64_t b, int64_t first, int64_t rows, int thread, bool fresh) {
                         ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
                         const Workspace ws = workspace(alloc);
                         if (fresh) right_.pack(context.in(inputs[1]), b, ws.right);
                         const float* left = left_.block(context.in(inputs[0]), b, first, rows, ws.left);
                         const auto target = results_.target(context, outputs[0], b * left_.rows() + first, rows, ws.results);
                         set_.gemm(left, left_.stride(), rows, right_.matrix(ws.right), 0, right_.panels(), target.to,
                                   target.stride, Epilogue{no_bias_.data()});
                         results_.store(context, outputs[0], b * left_.rows() + first, rows, target);
                       });
  }

 private:
  static constexpr int64_t kRows = 14, kBlock = 96 * 1024;

  struct Workspace {
    float *right, *left, *results;
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float *right = alloc.floats(right_.floats()), *left = alloc.floats(left_.scratch(block_));
    return {right, left, alloc.floats(block_ * n_)};
  }

  const KernelSet& set_;
  int64_t batch_, n_;
  LeftSide left_;
  RightSide right_;
  ScatteredRows results_;
  FloatBuffer no_bias_;
  int64_t block_ = kRows;
};

class AttentionStep : public Step {
 public:
  AttentionStep(const Attention& attention, const std::vector<StepInput>& in, const StepOutput& output)
      : a_(attention),
        set_(kernels()),
        kernels_(expression_kernels()),
        batch_(static_cast<int64_t>(attention.q.batch.size())),
        n_(static_cast<int64_t>(attention.k.rows.size())),
        width_(static_cast<int64_t>(attention.v.columns.size())),
        q_(attention.q),
        k_(set_, attention.k.transposed(), attention.scale),
        v_(set_, attention.v, 1),
        results_(set_, attention.result, width_, output),
        no_bias_(padded_columns(std::max(n_, width_), set_.panel)) {
    for (const StepInput& input : in) inputs.push_back(input.tensor);
    outputs = {output.tensor};
    info.kernel = "attention";
    info.macs = batch_ * q_.rows() * n_ * (q_.k() + width_);
    // Scores are whole panels: those that are missing are minus infinity, and have no share.
    scores_ = padded_columns(n_, set_.panel);
    stride_ = scores_ + (scores_ % 256 == 0 ? 16 : 0);  // rows at such distances share few sets of the first cache
    no_score_ = FloatBuffer(scores_);
    std::fill(no_score_.data() + n_, no_score_.data() + scores_, -std::numeric_limits<float>::infinity());
    if (a_.bias) pad_bias();
    block_ = std::clamp<int64_t>(kBlock / stride_ / kRows, 1, (q_.rows() + kRows - 1) / kRows) * kRows;
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    for_each_row_block(context, batch_, q_.rows(), block_, [&](int64_t b, int64_t first, int64_t rows, int thread, bool fresh) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      if (fresh) {
        k_.pack(context.in(inputs[1]), b, ws.k);
        v_.pack(context.in(inputs[2]), b, ws.v);
      }
      const float* q = q_.block(context.in(inputs[0]), b, first, rows, ws.q);
      score(context, b, first, rows, q, ws);
      set_.exp_rows(ws.scores, stride_, rows, scores_, ws.shares);
      weighted_sums(context, b, first, rows, ws);
    });
  }

 private:
  static constexpr int64_t kRows = 14, kBlock = 8 * 1024;  // floats of a block of scores

  struct Workspace {
    float *k, *v, *q, *scores, *shares, *results;
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float *k = alloc.floats(k_.floats()), *v = alloc.floats(v_.floats()), *q = alloc.floats(q_.scratch(block_));
    float *scores = alloc.floats(block_ * stride_), *shares = alloc.floats(block_);
    return {k, v, q, scores, shares, alloc.floats(block_ * width_)};
  }

  // A constant bias with rows of whole panels.
  void pad_bias() {
    const float* from = static_cast<const Tensor&>(*a_.bias).data<float>();
    const int64_t rows = a_.bias->size() / n_;
    Tensor padded(DType::f32, {rows, scores_});
    for (int64_t r = 0; r < rows; ++r) std::copy_n(from + r * n_, n_, padded.data<float>() + r * scores_);
    a_.bias = padded;
    a_.bias_row = a_.bias_row / n_ * scores_;
    for (int64_t& place : a_.bias_batch) place = place / n_ * scores_;
  }

  void score(const RunContext& context, int64_t b, int64_t first, int64_t rows, const float* q, const Workspace& ws) const {
    Epilogue end{no_score_.data()};
    const bool computed = !a_.bias_batch.empty() && !a_.bias;
    if (!a_.bias_batch.empty()) {
      const float* bias = a_.bias ? static_cast<const Tensor&>(*a_.bias).data<float>() : context.in(inputs[3]);
      end.residual = bias + a_.bias_batch[static_cast<size_t>(b)] + first * a_.bias_row;
      end.residual_stride = a_.bias_row;
    }
    // A computed bias has no columns beyond the last.
    set_.gemm(q, q_.stride(), rows, computed ? k_.matrix(ws.k) : k_.whole_panels(ws.k), 0, k_.panels(), ws.scores, stride_, end);
    for (int64_t r = 0; computed && r < rows; ++r)
      std::copy(no_score_.data() + n_, no_score_.data() + scores_, ws.scores + r * stride_ + n_);
  }

  // The exponentials times v, each row divided by its sum.
  void weighted_sums(const RunContext& context, int64_t b, int64_t first, int64_t rows, const Workspace& ws) const {
    const auto target = results_.target(context, outputs[0], b * q_.rows() + first, rows, ws.results);
    set_.gemm(ws.scores, stride_, rows, v_.matrix(ws.v), 0, v_.panels(), target.to, target.stride, Epilogue{no_bias_.data()});
    const auto times = kernels_.of_two(ExprOp::mul, OneValue::right);
    for (int64_t r = 0; r < rows; ++r) times(target.to + r * target.stride, ws.shares + r, target.to + r * target.stride, width_);
    results_.store(context, outputs[0], b * q_.rows() + first, rows, target);
  }

  Attention a_;
  const KernelSet& set_;
  const ExpressionKernels& kernels_;
  int64_t batch_, n_, width_;
  LeftSide q_;
  RightSide k_, v_;
  ScatteredRows results_;
  FloatBuffer no_bias_, no_score_;
  int64_t scores_ = 0, stride_ = 0, block_ = kRows;
};

}  // namespace

std::unique_ptr<Step> make_computed_product(const ComputedProduct& product, const StepInput& a, const StepInput& b,
                                            const StepOutput& output) {
  return std::make_unique<ComputedProductStep>(product, a, b, output);
}

std::unique_ptr<Step> make_attention(const Attention& attention, const std::vector<StepInput>& inputs, const StepOutput& output) {
  return std::make_unique<AttentionStep>(attention, inputs, output);
}

}  // namespace cytodet::exec
