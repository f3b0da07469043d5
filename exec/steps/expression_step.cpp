#include "exec/steps/expression_step.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace cytodet::exec {
namespace {

constexpr int64_t kBlock = 1024;           // floats of a register
constexpr int64_t kMaxRowChannels = 4096;  // of maps that are read and written pixel by pixel

// Strides in elements over the dimensions of `to`, 0 where `from` is broadcast.
std::vector<int64_t> strides_over(const Shape& from, const Shape& to) {
  std::vector<int64_t> strides(to.size(), 0);
  int64_t step = 1;
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t size = from[from.size() - 1 - i];
    if (size != 1) strides[to.size() - 1 - i] = step;
    step *= size;
  }
  return strides;
}

// The dimensions of an expression with those joined over which every leaf moves evenly, and those of one element gone.
struct Loops {
  std::vector<int64_t> sizes;
  std::vector<std::vector<int64_t>> strides;  // [leaf][dimension]
};

Loops join_dimensions(const Expression& e, bool keep_last) {
  Loops loops;
  loops.strides.resize(e.leaves.size());
  std::vector<std::vector<int64_t>> all;
  for (const ExpressionLeaf& leaf : e.leaves) all.push_back(strides_over(leaf.shape, e.shape));
  for (size_t d = 0; d < e.shape.size(); ++d) {
    if (e.shape[d] == 1) continue;
    const bool last = keep_last && d + 1 == e.shape.size();
    bool joins = !loops.sizes.empty() && !last;
    for (size_t i = 0; joins && i < all.size(); ++i) joins = loops.strides[i].back() == all[i][d] * e.shape[d];
    if (joins) {
      loops.sizes.back() *= e.shape[d];
      for (size_t i = 0; i < all.size(); ++i) loops.strides[i].back() = all[i][d];
    } else {
      loops.sizes.push_back(e.shape[d]);
      for (size_t i = 0; i < all.size(); ++i) loops.strides[i].push_back(all[i][d]);
    }
  }
  while (loops.sizes.size() < 2) {
    loops.sizes.insert(loops.sizes.begin(), 1);
    for (auto& s : loops.strides) s.insert(s.begin(), 0);
  }
  return loops;
}

template <class T>
void copy_strided(const void* from, int64_t rows, int64_t row_stride, int64_t columns, int64_t stride, float* out) {
  const T* in = static_cast<const T*>(from);
  for (int64_t r = 0; r < rows; ++r, in += row_stride, out += columns) {
    if (stride == 0)
      std::fill(out, out + columns, static_cast<float>(in[0]));
    else
      for (int64_t c = 0; c < columns; ++c) out[c] = static_cast<float>(in[c * stride]);
  }
}

// rows * columns floats of a tensor of `dtype`.
void fill_register(DType dtype, const void* from, int64_t rows, int64_t row_stride, int64_t columns, int64_t stride, float* out) {
  switch (dtype) {
    case DType::u8:
      return copy_strided<uint8_t>(from, rows, row_stride, columns, stride, out);
    case DType::i32:
      return copy_strided<int32_t>(from, rows, row_stride, columns, stride, out);
    case DType::boolean:
      return copy_strided<bool>(from, rows, row_stride, columns, stride, out);
    default:
      return copy_strided<float>(from, rows, row_stride, columns, stride, out);
  }
}

class ExpressionStep : public Step {
 public:
  ExpressionStep(const Expression& e, const std::vector<StepInput>& in, const StepOutput& output)
      : kernels_(expression_kernels()), ops_(e.ops), results_(kernels(), output, e.shape.empty() ? 1 : e.shape.back()) {
    for (const StepInput& input : in) inputs.push_back(input.tensor);
    outputs = {output.tensor};
    info.kernel = "elementwise";
    in_rows_ = stores_ = output.storage() != StorageType::f32;
    for (size_t i = 0, next = 0; i < e.leaves.size(); ++i)
      if (!e.leaves[i].constant) {
        const StepInput& input = in[next++];
        in_rows_ |= e.leaves[i].dtype == DType::f32 && (input.storage != StorageType::f32 || input.fake_quant);
      }
    channels_ = e.shape.empty() ? 1 : e.shape.back();
    plan_blocks(e);
    read_leaves(e, in);
    assign_registers(e.leaves.size());
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    for_each_chunk(context.threads, blocks_, 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      Workspace ws = workspace(alloc);
      for (int64_t i = begin; i < end; ++i) run_block(context, i, ws);
    });
  }

 private:
  // How a leaf comes to its register.
  enum class Read { direct, one, filled, pixels };
  struct LeafReader {
    Read read;
    DType dtype;
    int tensor = -1;  // -1: `constant`
    Tensor constant;
    std::vector<int64_t> strides;
    std::optional<RowSource> source;  // of pixels
  };
  struct Workspace {
    std::vector<const float*> at;     // by register
    std::vector<float*> own;          // scratch, by register; null where it has none
    std::vector<const void*> filled;  // what lies in a leaf's scratch
    std::vector<int64_t> first;       // of the block, by dimension
    float* results;
  };

  // A block is `block_rows_` rows of the second last dimension, whole ones, or a piece of one row.
  void plan_blocks(const Expression& e) {
    loops_ = join_dimensions(e, in_rows_ && channels_ > 1);
    const int64_t columns = loops_.sizes.back(), rows = loops_.sizes[loops_.sizes.size() - 2];
    block_columns_ = in_rows_ && channels_ > 1 ? columns : std::min(columns, kBlock);
    block_rows_ = block_columns_ < columns ? 1 : std::clamp<int64_t>(kBlock / columns, 1, rows);
    pieces_ = (columns + block_columns_ - 1) / block_columns_;
    row_blocks_ = (rows + block_rows_ - 1) / block_rows_;
    blocks_ = pieces_ * row_blocks_;
    for (size_t d = 0; d + 2 < loops_.sizes.size(); ++d) blocks_ *= loops_.sizes[d];
  }
  int64_t register_floats() const { return block_rows_ * block_columns_; }

  void read_leaves(const Expression& e, const std::vector<StepInput>& in) {
    const std::vector<char> may_be_one = leaves_of_one(e);
    for (size_t i = 0, next = 0; i < e.leaves.size(); ++i) {
      const ExpressionLeaf& leaf = e.leaves[i];
      LeafReader r{Read::filled, leaf.dtype, -1, {}, loops_.strides[i], {}};
      const int64_t last = r.strides.back(), before = r.strides[r.strides.size() - 2];
      const bool dense = last == 1 && (block_rows_ == 1 || before == block_columns_);
      if (leaf.constant)
        r.constant = *leaf.constant;
      else
        r.tensor = in[next].tensor;
      if (leaf.dtype == DType::f32 && may_be_one[i] &&
          std::all_of(r.strides.begin(), r.strides.end(), [](int64_t s) { return s == 0; }))
        r.read = Read::one;
      else if (!leaf.constant && in_rows_ && leaf.dtype == DType::f32)
        r.read = Read::pixels, r.source.emplace(kernels(), in[next], channels_);
      else if (leaf.dtype == DType::f32 && dense)
        r.read = Read::direct;
      if (!leaf.constant) ++next;
      leaves_.push_back(std::move(r));
    }
  }

  // Leaves that only operations of two read, beside another operand that is none of such.
  static std::vector<char> leaves_of_one(const Expression& e) {
    std::vector<char> one(e.leaves.size());
    for (size_t i = 0; i < one.size(); ++i) one[i] = elements(e.leaves[i].shape) == 1;
    const auto is_one = [&](int r) { return r >= 0 && static_cast<size_t>(r) < one.size() && one[static_cast<size_t>(r)]; };
    for (const ExpressionOp& op : e.ops)
      for (int r : {op.a, op.b, op.c})
        if (is_one(r) && (!is_binary(op.op) || (is_one(op.a) && is_one(op.b)))) one[static_cast<size_t>(r)] = 0;
    return one;
  }

  // Results share registers once nobody reads them any more.
  void assign_registers(size_t leaves) {
    std::vector<int> last_use(leaves + ops_.size(), -1), slot(leaves + ops_.size(), -1), free_slots;
    for (size_t i = 0; i < ops_.size(); ++i)
      for (int r : {ops_[i].a, ops_[i].b, ops_[i].c})
        if (r >= 0) last_use[static_cast<size_t>(r)] = static_cast<int>(i);
    for (size_t i = 0; i < ops_.size(); ++i) {
      for (int r : {ops_[i].a, ops_[i].b, ops_[i].c})
        if (r >= static_cast<int>(leaves) && last_use[static_cast<size_t>(r)] == static_cast<int>(i) &&
            slot[static_cast<size_t>(r)] >= 0) {
          free_slots.push_back(slot[static_cast<size_t>(r)]);
          last_use[static_cast<size_t>(r)] = -1;
        }
      if (i + 1 == ops_.size()) break;
      int& to = slot[static_cast<size_t>(ops_[i].to)];
      if (free_slots.empty())
        to = temporaries_++;
      else
        to = free_slots.back(), free_slots.pop_back();
    }
    slots_ = slot;
  }

  Workspace workspace(ScratchAllocator& alloc) const {
    Workspace p{std::vector<const float*>(slots_.size()), std::vector<float*>(slots_.size()),
                std::vector<const void*>(leaves_.size()), std::vector<int64_t>(loops_.sizes.size()), nullptr};
    for (size_t i = 0; i < leaves_.size(); ++i)
      if (leaves_[i].read == Read::filled || leaves_[i].read == Read::pixels) p.own[i] = alloc.floats(register_floats());
    std::vector<float*> temporaries;
    for (int i = 0; i < temporaries_; ++i) temporaries.push_back(alloc.floats(register_floats()));
    for (size_t i = leaves_.size(); i < slots_.size(); ++i)
      if (slots_[i] >= 0) p.own[i] = temporaries[static_cast<size_t>(slots_[i])];
    p.results = alloc.floats(stores_ ? register_floats() : 0);
    return p;
  }

  void run_block(const RunContext& context, int64_t block, Workspace& ws) const {
    const size_t dims = loops_.sizes.size();
    const int64_t columns = loops_.sizes[dims - 1], rows = loops_.sizes[dims - 2];
    std::vector<int64_t>& at = ws.first;
    at[dims - 1] = block % pieces_ * block_columns_;
    at[dims - 2] = block / pieces_ % row_blocks_ * block_rows_;
    for (int64_t d = static_cast<int64_t>(dims) - 3, rest = block / pieces_ / row_blocks_; d >= 0; --d) {
      at[static_cast<size_t>(d)] = rest % loops_.sizes[static_cast<size_t>(d)];
      rest /= loops_.sizes[static_cast<size_t>(d)];
    }
    int64_t first = 0;  // element of the result
    for (size_t d = 0; d < dims; ++d) first = first * loops_.sizes[d] + at[d];
    const int64_t height = std::min(block_rows_, rows - at[dims - 2]), width = std::min(block_columns_, columns - at[dims - 1]);
    for (size_t i = 0; i < leaves_.size(); ++i) ws.at[i] = read_leaf(context, i, at, first, height, width, ws);
    compute(context, first, height * width, ws);
  }

  const float* read_leaf(const RunContext& context, size_t i, const std::vector<int64_t>& at, int64_t first, int64_t height,
                         int64_t width, Workspace& ws) const {
    const LeafReader& leaf = leaves_[i];
    if (leaf.read == Read::pixels) return leaf.source->values(context, first / channels_, height * width / channels_, ws.own[i]);
    int64_t offset = 0;
    for (size_t d = 0; d < at.size(); ++d) offset += at[d] * leaf.strides[d];
    const void* data = leaf.tensor < 0 ? leaf.constant.raw() : context.raw(leaf.tensor);
    const void* from = static_cast<const char*>(data) + offset * static_cast<int64_t>(size_of(leaf.dtype));
    if (leaf.read != Read::filled) return static_cast<const float*>(from);
    // What every block reads alike is filled once, unless the block is not a whole one.
    const bool whole = height == block_rows_ && width == block_columns_;
    if (ws.filled[i] != from || !whole)
      fill_register(leaf.dtype, from, height, leaf.strides[at.size() - 2], width, leaf.strides.back(), ws.own[i]);
    ws.filled[i] = whole ? from : nullptr;
    return ws.own[i];
  }

  void compute(const RunContext& context, int64_t first, int64_t n, Workspace& ws) const {
    for (size_t i = 0; i < ops_.size(); ++i) {
      const ExpressionOp& op = ops_[i];
      const bool last = i + 1 == ops_.size();
      const auto to = static_cast<size_t>(op.to);
      float* out = !last ? ws.own[to] : stores_ ? ws.results : context.out(outputs[0]) + first;
      const float* a = ws.at[static_cast<size_t>(op.a)];
      if (is_unary(op.op)) {
        kernels_.of_one(op.op)(a, out, n);
      } else if (is_binary(op.op)) {
        kernels_.of_two(op.op, one_of(op))(a, ws.at[static_cast<size_t>(op.b)], out, n);
      } else {
        kernels_.of_three(op.op)(a, ws.at[static_cast<size_t>(op.b)], ws.at[static_cast<size_t>(op.c)], out, n);
      }
      ws.at[to] = out;
    }
    if (stores_) results_.store(context, first / channels_, n / channels_, ws.results);
  }

  OneValue one_of(const ExpressionOp& op) const {
    const auto one = [&](int r) {
      return static_cast<size_t>(r) < leaves_.size() && leaves_[static_cast<size_t>(r)].read == Read::one;
    };
    return one(op.b) ? OneValue::right : one(op.a) ? OneValue::left : OneValue::none;
  }

  const ExpressionKernels& kernels_;
  std::vector<ExpressionOp> ops_;
  ResultRows results_;
  bool in_rows_ = false;  // maps are read and written pixel by pixel, in their storage types
  bool stores_ = false;   // the result is not stored as floats
  int64_t channels_ = 1;
  Loops loops_;
  int64_t block_rows_ = 1, block_columns_ = 1, pieces_ = 1, row_blocks_ = 1, blocks_ = 1;
  std::vector<LeafReader> leaves_;
  std::vector<int> slots_;  // of registers; -1: a leaf, or the result
  int temporaries_ = 0;
};

}  // namespace

void Expression::fuse_products() {
  const auto uses = [&](int r) {
    int64_t count = 0;
    for (const ExpressionOp& op : ops) count += (op.a == r) + (op.b == r) + (op.c == r);
    return count;
  };
  for (size_t i = 0; i + 1 < ops.size(); ++i) {
    const ExpressionOp product = ops[i], next = ops[i + 1];
    const bool left = next.a == product.to, alone = uses(product.to) == 1;
    if (product.op == ExprOp::mul && next.op == ExprOp::add && (left || next.b == product.to) && alone) {
      ops[i] = {ExprOp::mul_add, next.to, product.a, product.b, left ? next.b : next.a};
      ops.erase(ops.begin() + static_cast<long>(i) + 1);
      --i;  // a relu may follow
    } else if (product.op == ExprOp::mul_add && next.op == ExprOp::relu && left && alone) {
      ops[i].op = ExprOp::mul_add_relu;
      ops[i].to = next.to;
      ops.erase(ops.begin() + static_cast<long>(i) + 1);
    }
  }
  // Results have the registers behind the leaves, in order.
  std::map<int, int> renamed;
  for (size_t i = 0; i < ops.size(); ++i) {
    for (int* r : {&ops[i].a, &ops[i].b, &ops[i].c})
      if (const auto known = renamed.find(*r); known != renamed.end()) *r = known->second;
    renamed[ops[i].to] = static_cast<int>(leaves.size() + i);
    ops[i].to = static_cast<int>(leaves.size() + i);
  }
}

bool Expression::works_in_rows() const {
  return !shape.empty() && shape.back() <= kMaxRowChannels &&
         std::all_of(leaves.begin(), leaves.end(), [&](const ExpressionLeaf& leaf) {
           return leaf.constant || leaf.dtype != DType::f32 || leaf.shape == shape;
         });
}

std::unique_ptr<Step> make_expression(const Expression& expression, const std::vector<StepInput>& inputs,
                                      const StepOutput& output) {
  return std::make_unique<ExpressionStep>(expression, inputs, output);
}

}  // namespace cytodet::exec
