#include "exec/steps/row_steps.h"

#include <algorithm>
#include <cstring>

#include "exec/steps/row_blocks.h"

namespace cytodet::exec {
namespace {

constexpr int64_t kChunk = 4096;  // elements of a map that are worked at once

std::string kernel_name(bool quantized, const char* name) { return std::string(quantized ? "int8_" : "") + name; }

class SumStep : public Step {
 public:
  SumStep(const Shape& shape, const std::vector<SumTerm>& terms, Act act, const StepOutput& output)
      : terms_(terms),
        act_(act),
        set_(kernels()),
        channels_(shape.empty() ? 1 : shape.back()),
        results_(set_, output, channels_),
        output_(output.tensor) {
    upsampled_ = std::any_of(terms.begin(), terms.end(), [](const SumTerm& t) { return t.repeat != 1; });
    if (upsampled_) {
      rows_ = shape[0] * shape[1];
      width_ = shape[2];
    } else {
      // Chunks of pixels are rows; the last may be shorter.
      pixels_ = elements(shape) / channels_;
      width_ = std::clamp<int64_t>(kChunk / channels_, 1, pixels_);
      rows_ = (pixels_ + width_ - 1) / width_;
    }
    for (const SumTerm& t : terms_) {
      sources_.emplace_back(set_, t.input, channels_);
      inputs.push_back(t.input.tensor);
    }
    outputs = {output.tensor};
    const bool quantized = std::any_of(sources_.begin(), sources_.end(), [](const RowSource& s) { return s.quantized(); });
    info.kernel = kernel_name(quantized, terms_.size() == 1 && !upsampled_ ? "activation" : "weighted_sum");
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    if (copies_q8()) return repeat_q8(context);
    for_each_chunk(context.threads, rows_, 1, [&](int64_t b, int64_t e, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      WeightedRow in[4];
      for (int64_t row = b; row < e; ++row) {
        const int64_t pixel = row * width_, count = upsampled_ ? width_ : std::min(width_, pixels_ - pixel);
        for (size_t i = 0; i < terms_.size(); ++i) {
          const int64_t repeat = terms_[i].repeat, first = upsampled_ ? row / repeat * (width_ / repeat) : pixel;
          in[i] = {sources_[i].rows(context, first, count / repeat, ws.terms[i]), terms_[i].weight * sources_[i].scale(),
                   terms_[i].repeat};
        }
        float* out = results_.floats(context, pixel, ws.results);
        set_.weighted_sum_row(in, static_cast<int>(terms_.size()), act_, out, count, channels_);
        results_.store(context, pixel, count, ws.results);
      }
    });
  }

 private:
  struct Workspace {
    float* terms[4];
    float* results;
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    Workspace p{};
    for (size_t i = 0; i < terms_.size(); ++i) p.terms[i] = alloc.floats(sources_[i].scratch(width_ / terms_[i].repeat));
    p.results = alloc.floats(results_.scratch(width_));
    return p;
  }

  // The one term is stored quantized as the output is: its pixels are copied.
  bool copies_q8() const { return terms_[0].input.storage == StorageType::q8 && !sources_[0].quantized(); }
  void repeat_q8(RunContext& context) const {
    const int64_t repeat = terms_[0].repeat, in_w = width_ / repeat, row = width_ * channels_;
    const uint8_t* in = context.feature_map(terms_[0].input.tensor).q8();
    uint8_t* out = context.q8_out(output_);
    for_each_chunk(context.threads, rows_ / repeat, 1, [&](int64_t b, int64_t e, int) {
      for (int64_t y = b; y < e; ++y) {
        uint8_t* first = out + y * repeat * row;
        for (int64_t x = 0; x < width_; ++x)
          std::memcpy(first + x * channels_, in + (y * in_w + x / repeat) * channels_, static_cast<size_t>(channels_));
        for (int64_t copy = 1; copy < repeat; ++copy) std::memcpy(first + copy * row, first, static_cast<size_t>(row));
      }
    });
  }

  std::vector<SumTerm> terms_;
  Act act_;
  const KernelSet& set_;
  int64_t channels_;
  std::vector<RowSource> sources_;
  ResultRows results_;
  int output_;
  bool upsampled_ = false;
  int64_t rows_ = 1, width_ = 1, pixels_ = 0;
};

class ProductStep : public Step {
 public:
  ProductStep(const Shape& shape, const StepInput& a, const StepInput& b, bool gate, const StepOutput& output)
      : gate_(gate),
        set_(kernels()),
        channels_(shape.back()),
        a_(set_, a, channels_),
        b_(set_, b, channels_),
        results_(set_, output, channels_) {
    inputs = {a.tensor, b.tensor};
    outputs = {output.tensor};
    info.kernel = kernel_name(a_.quantized() || b_.quantized(), gate ? "gate" : "product");
    pixels_ = elements(shape) / channels_;
    image_ = gate ? shape[1] * shape[2] : pixels_;  // pixels with one gate
    chunk_ = std::clamp<int64_t>(kChunk / channels_, 1, image_);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const RowBlocks chunks{pixels_ / image_, image_, chunk_};
    for_each_chunk(context.threads, chunks.count(), 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t i = begin; i < end; ++i) {
        const auto [image, first, count] = chunks.at(i);
        const int64_t pixel = image * image_ + first;
        const float* a = a_.rows(context, pixel, count, ws.a);
        const float* b = gate_ ? b_.rows(context, image, 1, ws.b) : b_.rows(context, pixel, count, ws.b);
        set_.product_row(a, b, gate_ ? 0 : channels_, a_.scale() * b_.scale(), results_.floats(context, pixel, ws.results), count,
                         channels_);
        results_.store(context, pixel, count, ws.results);
      }
    });
  }

 private:
  struct Workspace {
    float *a, *b, *results;
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float* a = alloc.floats(a_.scratch(chunk_));
    float* b = alloc.floats(b_.scratch(gate_ ? 1 : chunk_));
    return {a, b, alloc.floats(results_.scratch(chunk_))};
  }

  bool gate_;
  const KernelSet& set_;
  int64_t channels_;
  RowSource a_, b_;
  ResultRows results_;
  int64_t pixels_ = 0, image_ = 1, chunk_ = 1;
};

class PoolStep : public Step {
 public:
  PoolStep(const ConvShape& shape, bool average, const StepInput& input, const StepOutput& output)
      : s_(shape),
        average_(average),
        set_(kernels()),
        source_(set_, input, s_.in_c),
        results_(set_, output, s_.in_c),
        copies_q8_(input.storage == StorageType::q8 && !source_.quantized()) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = kernel_name(source_.quantized(), average ? "avg_pool" : "max_pool");
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    if (copies_q8_) {
      const uint8_t* in = context.feature_map(inputs[0]).q8();
      for_each_chunk(context.threads, s_.out_planes() * s_.out_h, 1, [&](int64_t b, int64_t e, int) {
        for (int64_t row = b; row < e; ++row) {
          const uint8_t* rows[kMaxPoolRows];
          PoolRow<uint8_t> job = window<uint8_t>(row, [&](int i, int64_t pixel) { rows[i] = in + pixel * s_.in_c; });
          job.rows = rows;
          job.out = context.q8_out(outputs[0]) + row * s_.out_w * s_.in_c;
          set_.max_pool_q8(job);
        }
      });
      return;
    }
    for_each_chunk(context.threads, s_.out_planes() * s_.out_h, 1, [&](int64_t b, int64_t e, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t row = b; row < e; ++row) {
        if (max_of_bytes()) {
          max_of_bytes(context, row, ws);
          continue;
        }
        if (mean_of_bytes()) {
          mean_of_bytes(context, row, ws);
          continue;
        }
        const float* rows[kMaxPoolRows];
        PoolRow<float> job = window<float>(row, [&](int i, int64_t pixel) {
          rows[i] = source_.rows(context, pixel, s_.in_w, ws.rows + i * source_.scratch(s_.in_w));
        });
        job.rows = rows;
        const int64_t pixel = row * s_.out_w;
        job.out = results_.floats(context, pixel, ws.results);
        if (average_) {
          set_.average_pool_row(job, source_.scale());
        } else {
          set_.max_pool_row(job);
          scale_row(job.out);
        }
        results_.store(context, pixel, s_.out_w, ws.results);
      }
    });
  }

 private:
  struct Workspace {
    float *rows, *results;
    uint8_t* bytes;  // the largest ones, [out_w][c]
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    const int64_t rows_at_once = max_of_bytes()    ? 0
                                 : mean_of_bytes() ? 1
                                                   : std::min<int64_t>(s_.kernel_h, s_.in_h) * s_.depth.kernel;
    float* rows = alloc.floats(rows_at_once * source_.scratch(s_.in_w));
    float* results = alloc.floats(results_.scratch(s_.out_w));
    return {rows, results, max_of_bytes() ? alloc.bytes(s_.out_w * s_.in_c) : nullptr};
  }

  // The maximum is taken of quantized bytes, and only that becomes floats.
  bool max_of_bytes() const { return !average_ && source_.reads_bytes(); }
  void max_of_bytes(const RunContext& context, int64_t row, const Workspace& ws) const {
    const uint8_t* in = context.feature_map(inputs[0]).q8();
    const uint8_t* rows[kMaxPoolRows];
    PoolRow<uint8_t> job = window<uint8_t>(row, [&](int i, int64_t pixel) { rows[i] = in + pixel * s_.in_c; });
    job.rows = rows;
    job.out = ws.bytes;
    set_.max_pool_q8(job);
    float* out = results_.floats(context, row * s_.out_w, ws.results);
    source_.from_bytes(ws.bytes, s_.out_w * s_.in_c, out);
    scale_row(out);
    results_.store(context, row * s_.out_w, s_.out_w, ws.results);
  }

  // The columns of windows are summed first, as bytes.
  bool mean_of_bytes() const { return average_ && source_.reads_bytes(); }
  void mean_of_bytes(const RunContext& context, int64_t row, const Workspace& ws) const {
    const uint8_t* in = context.feature_map(inputs[0]).q8();
    const uint8_t* rows[kMaxPoolRows];
    PoolRow<float> job = window<float>(row, [&](int i, int64_t pixel) { rows[i] = in + pixel * s_.in_c; });
    source_.sum_of_bytes(rows, job.count, s_.in_w * s_.in_c, ws.rows);
    const float share = source_.scale() / static_cast<float>(job.count);
    const float* sums[] = {ws.rows};
    job.rows = sums;
    job.count = 1;
    job.out = results_.floats(context, row * s_.out_w, ws.results);
    set_.average_pool_row(job, share);
    results_.store(context, row * s_.out_w, s_.out_w, ws.results);
  }

  // Quantized integers become values.
  void scale_row(float* row) const {
    const WeightedRow element{row, source_.scale()};
    if (source_.quantized()) set_.weighted_sum_row(&element, 1, Act::none, row, s_.out_w, s_.in_c);
  }

  // The windows of output row `row`; put(i, first pixel of the row) for each input row that they hold.
  template <class T, class Put>
  PoolRow<T> window(int64_t row, Put put) const {
    const int64_t plane = row / s_.out_h, top = row % s_.out_h * s_.stride_h - s_.pad_top;
    const int64_t first_plane = plane / s_.depth.out * s_.depth.in;  // of the image
    PoolRow<T> job;
    job.count = 0;
    for (int64_t tap = 0; tap < s_.depth.kernel; ++tap) {
      const int64_t z = s_.depth.plane(plane % s_.depth.out, tap);
      if (z < 0 || z >= s_.depth.in) continue;
      for (int64_t y = std::max<int64_t>(0, top); y < std::min(s_.in_h, top + s_.kernel_h); ++y)
        put(job.count++, ((first_plane + z) * s_.in_h + y) * s_.in_w);
    }
    job.kernel_w = s_.kernel_w;
    job.stride = s_.stride_w;
    job.pad = s_.pad_left;
    job.in_w = s_.in_w;
    job.width = s_.out_w;
    job.channels = s_.in_c;
    return job;
  }

  ConvShape s_;
  bool average_;
  const KernelSet& set_;
  RowSource source_;
  ResultRows results_;
  bool copies_q8_;
};

class MeanStep : public Step {
 public:
  MeanStep(const Shape& shape, const StepInput& input, const StepOutput& output)
      : shape_(shape), source_(kernels(), input, shape[3]), results_(kernels(), output, shape[3]) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = kernel_name(source_.quantized(), "mean");
    chunk_ = std::clamp<int64_t>(kChunk / shape[3], 1, shape[1] * shape[2]);
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const int64_t pixels = shape_[1] * shape_[2], channels = shape_[3];
    ScratchAllocator alloc(context.scratch);
    const Workspace ws = workspace(alloc);
    for (int64_t n = 0; n < shape_[0]; ++n) {
      std::vector<double> total(static_cast<size_t>(channels), 0.0);
      for (int64_t first = 0; first < pixels; first += chunk_) {
        const int64_t count = std::min(chunk_, pixels - first);
        const float* in = source_.rows(context, n * pixels + first, count, ws.rows);
        for (int64_t p = 0; p < count; ++p)
          for (int64_t c = 0; c < channels; ++c) total[static_cast<size_t>(c)] += in[p * channels + c];
      }
      float* out = results_.floats(context, n, ws.results);
      for (int64_t c = 0; c < channels; ++c)
        out[c] = static_cast<float>(total[static_cast<size_t>(c)] / static_cast<double>(pixels)) * source_.scale();
      results_.store(context, n, 1, ws.results);
    }
  }

 private:
  struct Workspace {
    float *rows, *results;
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float* rows = alloc.floats(source_.scratch(chunk_));
    return {rows, alloc.floats(results_.scratch(1))};
  }

  Shape shape_;
  RowSource source_;
  ResultRows results_;
  int64_t chunk_ = 1;
};

class BilinearStep : public Step {
 public:
  BilinearStep(const Shape& in, std::vector<BetweenPixels> rows, std::vector<BetweenPixels> columns, const StepInput& input,
               const StepOutput& output)
      : batch_(in[0]),
        in_h_(in[1]),
        in_w_(in[2]),
        channels_(in[3]),
        rows_(std::move(rows)),
        columns_(std::move(columns)),
        set_(kernels()),
        source_(set_, input, channels_),
        results_(set_, output, channels_) {
    inputs = {input.tensor};
    outputs = {output.tensor};
    info.kernel = kernel_name(source_.quantized(), "resize_bilinear");
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const auto out_h = static_cast<int64_t>(rows_.size()), out_w = static_cast<int64_t>(columns_.size());
    for_each_chunk(context.threads, batch_ * out_h, 1, [&](int64_t b, int64_t e, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      int64_t have[2] = {-1, -1};  // the rows that lie in the two pieces
      const float* at[2] = {};
      const auto row_of = [&](int64_t y, int64_t other) {
        for (int i : {0, 1})
          if (have[i] == y) return at[i];
        const int i = have[0] == other ? 1 : 0;
        have[i] = y;
        return at[i] = source_.rows(context, y * in_w_, in_w_, ws.rows[i]);
      };
      for (int64_t row = b; row < e; ++row) {
        const BetweenPixels& y = rows_[static_cast<size_t>(row % out_h)];
        const int64_t image = row / out_h * in_h_, pixel = row * out_w;
        BilinearRow job;
        job.top = row_of(image + y.low, image + y.high);
        job.bottom = row_of(image + y.high, image + y.low);
        job.share = y.share;
        job.columns = columns_.data();
        job.scale = source_.scale();
        job.out = results_.floats(context, pixel, ws.results);
        job.width = out_w;
        job.channels = channels_;
        set_.bilinear_row(job);
        results_.store(context, pixel, out_w, ws.results);
      }
    });
  }

 private:
  struct Workspace {
    float* rows[2];
    float* results;
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    float* first = alloc.floats(source_.scratch(in_w_));
    float* second = alloc.floats(source_.scratch(in_w_));
    return {{first, second}, alloc.floats(results_.scratch(static_cast<int64_t>(columns_.size())))};
  }

  int64_t batch_, in_h_, in_w_, channels_;
  std::vector<BetweenPixels> rows_, columns_;
  const KernelSet& set_;
  RowSource source_;
  ResultRows results_;
};

}  // namespace

std::unique_ptr<Step> make_weighted_sum(const Shape& shape, const std::vector<SumTerm>& terms, Act act,
                                        const StepOutput& output) {
  return std::make_unique<SumStep>(shape, terms, act, output);
}

std::unique_ptr<Step> make_product(const Shape& shape, const StepInput& a, const StepInput& b, bool gate,
                                   const StepOutput& output) {
  return std::make_unique<ProductStep>(shape, a, b, gate, output);
}

std::unique_ptr<Step> make_pool(const ConvShape& shape, bool average, const StepInput& input, const StepOutput& output) {
  return std::make_unique<PoolStep>(shape, average, input, output);
}

std::unique_ptr<Step> make_mean(const Shape& input_shape, const StepInput& input, const StepOutput& output) {
  return std::make_unique<MeanStep>(input_shape, input, output);
}

std::unique_ptr<Step> make_bilinear(const Shape& input_shape, std::vector<BetweenPixels> rows, std::vector<BetweenPixels> columns,
                                    const StepInput& input, const StepOutput& output) {
  return std::make_unique<BilinearStep>(input_shape, std::move(rows), std::move(columns), input, output);
}

}  // namespace cytodet::exec
