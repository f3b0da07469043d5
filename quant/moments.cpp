#include "quant/moments.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/frames.h"
#include "graph/passes/tf_int8.h"
#include "quant/products.h"
#include "quant/rounding_state.h"

namespace cytodet::quant {
namespace {

constexpr int kLanes = 4;              // sets of sums that samples are dealt to in turn, whatever the number of threads
constexpr int64_t kMaxWindows = 2048;  // of a sample, of a layer
constexpr int64_t kLargestBlock = 4608, kSmallestBlock = 64;
constexpr size_t kSamplesBetweenSaves = 4;  // of each lane

// One layer, and where its windows lie.
struct WatchedLayer {
  std::string name;
  int tap = 0;
  bool matrix = false;
  int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1};
  int64_t channels = 0;  // of the map; of a matrix its columns
  std::string padding;
  InputMoments moments;  // without sums: its shape
  Node node;             // for paddings_of
  Shape filter;
};

std::optional<WatchedLayer> watched_layer(const Graph& graph, NodeId id) {
  const Node& n = graph.node(id);
  const bool matrix = n.op == "MatMul", depthwise = n.op == "DepthwiseConv2dNative";
  if ((!matrix && !depthwise && n.op != "Conv2D") || n.inputs.size() != 2 || graph.constant(n.inputs[0])) return {};
  const Tensor* filter = graph.constant(n.inputs[1]);
  if (!filter || filter->dtype() != DType::f32 || filter->size() == 0 || filter->rank() != (matrix ? 2 : 4)) return {};
  if (matrix ? n.attr_or("transpose_a", false) : !is_channels_last(n)) return {};
  WatchedLayer l;
  l.name = n.name;
  l.matrix = matrix;
  l.node = n;
  l.filter = filter->shape();
  if (matrix) {
    l.channels = filter->dim(n.attr_or("transpose_b", false) ? 1 : 0);
  } else {
    l.channels = filter->dim(2);
    const std::vector<int64_t> strides = n.attr<AttrList>("strides").ints, dilations = n.attr_or("dilations", AttrList{}).ints;
    if (strides.size() != 4) return {};
    for (size_t side : {size_t{0}, size_t{1}}) {
      l.kernel[side] = filter->dim(static_cast<int>(side));
      l.stride[side] = strides[side + 1];
      if (dilations.size() == 4) l.dilation[side] = dilations[side + 1];
      if (l.stride[side] < 1 || l.dilation[side] < 1) return {};
    }
  }
  const int64_t window = l.kernel[0] * l.kernel[1];
  l.moments.depthwise = depthwise;
  l.moments.size = depthwise ? window : window * l.channels;
  l.moments.channels = depthwise ? l.channels : 1;
  return l;
}

int64_t sums_of(const InputMoments& m) { return m.depthwise ? m.size * m.size * m.channels : m.blocks() * m.block * m.block; }

// The largest blocks with which all sums fit.
void choose_blocks(std::vector<WatchedLayer>& layers, int64_t max_bytes) {
  for (int64_t block = kLargestBlock;; block = std::max(kSmallestBlock, block / 16 * 8)) {
    int64_t bytes = 0;
    for (WatchedLayer& l : layers) {
      l.moments.block = std::min(block, l.moments.size);
      bytes += sums_of(l.moments) * static_cast<int64_t>(sizeof(float)) * (kLanes + 1);
    }
    if (bytes <= max_bytes || block == kSmallestBlock) return;
  }
}

// Positions 0 .. of - 1, at most `max_windows`, spread evenly, each at another place of its share in each sample.
std::vector<int64_t> spread(int64_t of, int64_t max_windows, size_t sample) {
  std::vector<int64_t> at;
  if (of <= max_windows) {
    for (int64_t i = 0; i < of; ++i) at.push_back(i);
    return at;
  }
  uint64_t state = 0x9e3779b97f4a7c15u * (static_cast<uint64_t>(sample) + 1);
  for (int64_t i = 0; i < max_windows; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const int64_t low = i * of / max_windows, high = (i + 1) * of / max_windows;
    at.push_back(low + static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(high - low)));
  }
  return at;
}

// Windows [count, kernel height * width * channels] of a map [n, h, w, channels] or matrix [n, channels]; zeros outside.
struct Windows {
  int64_t count = 0;
  std::vector<float> numbers;
};

std::optional<Windows> windows_of(const WatchedLayer& l, const Tensor& map, int64_t max_windows, size_t sample) {
  Windows out;
  const float* x = map.data<float>();
  const int64_t c = l.channels;
  if (map.dim(-1) != c || map.rank() != (l.matrix ? 2 : 4)) return {};  // several groups, or another rank
  if (l.matrix) {
    for (int64_t row : spread(map.dim(0), max_windows, sample))
      out.numbers.insert(out.numbers.end(), x + row * c, x + (row + 1) * c);
    out.count = static_cast<int64_t>(out.numbers.size()) / c;
    return out;
  }
  const auto pads = paddings_of(l.node, l.filter, map.shape());
  if (!pads) return {};
  int64_t places[2];
  for (size_t side : {size_t{0}, size_t{1}}) {
    const int64_t extent = (l.kernel[side] - 1) * l.dilation[side] + 1;
    const int64_t whole = map.dim(static_cast<int>(side) + 1) + (*pads)[2 * side] + (*pads)[2 * side + 1];
    if (whole < extent) return {};
    places[side] = (whole - extent) / l.stride[side] + 1;
  }
  const std::vector<int64_t> chosen = spread(map.dim(0) * places[0] * places[1], max_windows, sample);
  const int64_t wide = l.kernel[0] * l.kernel[1] * c;
  out.count = static_cast<int64_t>(chosen.size());
  out.numbers.assign(static_cast<size_t>(out.count * wide), 0.0f);
  float* to = out.numbers.data();
  for (int64_t place : chosen) {
    const int64_t image = place / (places[0] * places[1]), top = place / places[1] % places[0] * l.stride[0] - (*pads)[0],
                  left = place % places[1] * l.stride[1] - (*pads)[2];
    for (int64_t ky = 0; ky < l.kernel[0]; ++ky)
      for (int64_t kx = 0; kx < l.kernel[1]; ++kx, to += c) {
        const int64_t y = top + ky * l.dilation[0], at = left + kx * l.dilation[1];
        if (y < 0 || at < 0 || y >= map.dim(1) || at >= map.dim(2)) continue;
        std::copy_n(x + ((image * map.dim(1) + y) * map.dim(2) + at) * c, c, to);
      }
  }
  return out;
}

void add_windows(InputMoments& m, const Windows& w) {
  const int64_t wide = m.size * m.channels;
  if (m.mean.empty()) {
    m.mean.assign(static_cast<size_t>(wide), 0);
    m.products.assign(static_cast<size_t>(sums_of(m)), 0);
  }
  for (int64_t r = 0; r < w.count; ++r)
    for (int64_t i = 0; i < wide; ++i)
      m.mean[static_cast<size_t>(i)] += static_cast<double>(w.numbers[static_cast<size_t>(r * wide + i)]);
  m.windows += w.count;
  if (m.depthwise) {
    for (int64_t r = 0; r < w.count; ++r) {
      const float* x = w.numbers.data() + r * wide;
      for (int64_t i = 0; i < m.size; ++i)
        for (int64_t j = i; j < m.size; ++j) {
          float* sum = m.products.data() + (i * m.size + j) * m.channels;
          for (int64_t c = 0; c < m.channels; ++c) sum[c] += x[i * m.channels + c] * x[j * m.channels + c];
        }
    }
    return;
  }
  if (m.blocks() == 1) return add_products(w.numbers.data(), w.count, m.size, m.products.data(), m.block);
  std::vector<float> part;
  for (int64_t b = 0; b < m.blocks(); ++b) {
    const int64_t n = m.length(b);
    part.resize(static_cast<size_t>(w.count * n));
    for (int64_t r = 0; r < w.count; ++r) std::copy_n(w.numbers.data() + r * wide + m.first(b), n, part.data() + r * n);
    add_products(part.data(), w.count, n, m.products.data() + b * m.block * m.block, m.block);
  }
}

// The sums of one lane.
using Lane = std::vector<InputMoments>;

class MomentRun {
 public:
  MomentRun(const Graph& graph, PlanOptions plan, const CalibrationData& data, const MomentOptions& options)
      : data_(data), options_(options) {
    const Frames frames(graph);
    std::map<std::string, int> taps;
    for (NodeId id : graph.topological_order()) {
      std::optional<WatchedLayer> l = frames.is_inside(id) ? std::nullopt : watched_layer(graph, id);
      if (!l) continue;
      const std::string read = graph.name_of(l->node.inputs[0]);
      const auto [it, fresh] = taps.emplace(read, static_cast<int>(taps.size()));
      if (fresh) plan.taps.push_back(read), readers_.emplace_back();
      l->tap = it->second;
      readers_[static_cast<size_t>(l->tap)].push_back(layers_.size());
      layers_.push_back(std::move(*l));
    }
    choose_blocks(layers_, options.max_bytes);
    Lane empty;
    for (const WatchedLayer& l : layers_) empty.push_back(l.moments);
    sums_.lanes.assign(static_cast<size_t>(std::min<size_t>(kLanes, std::max<size_t>(1, data.samples.size()))), empty);
    sums_.used.assign(sums_.lanes.size(), 0);
    if (!layers_.empty()) compiled_ = Plan::compile(graph, plan);
  }

  std::shared_ptr<const Moments> run() {
    auto result = std::make_shared<Moments>();
    result->state = options_.state;
    if (layers_.empty() || data_.samples.empty()) return result;
    take_up();
    const size_t samples = data_.samples.size(), lanes = sums_.lanes.size();
    Progress progress("second moments", static_cast<int64_t>(samples), "images", options_.quiet);
    progress.add(sums_.samples);
    const size_t step = options_.state ? lanes * kSamplesBetweenSaves : samples;
    std::vector<std::unique_ptr<Runner>> runners(lanes);
    while (static_cast<size_t>(sums_.samples) < samples) {
      const auto begin = static_cast<size_t>(sums_.samples), end = std::min(samples, begin + step);
      parallel_for(static_cast<int64_t>(lanes), 0, [&](int64_t at) {
        const auto lane = static_cast<size_t>(at);
        if (!runners[lane]) runners[lane] = std::make_unique<Runner>(compiled_);
        for (size_t s = begin + lane; s < end; s += lanes) {
          sums_.used[lane] += show(s, *runners[lane], sums_.lanes[lane]);
          progress.add();
        }
      });
      sums_.samples = static_cast<int64_t>(end);
      if (end == samples) parallel_for(static_cast<int64_t>(layers_.size()), 0, [&](int64_t i) { join(static_cast<size_t>(i)); });
      if (options_.state) options_.state->keep_sums(sums_, end == samples);
    }
    for (int64_t images : sums_.used) result->images += images;
    for (InputMoments& m : sums_.lanes[0]) divide(m);
    for (size_t i = 0; i < layers_.size(); ++i)
      if (sums_.lanes[0][i].windows > 0) result->layers[layers_[i].name] = std::move(sums_.lanes[0][i]);
    return result;
  }

 private:
  // Goes on from what a killed run kept.
  void take_up() {
    MomentSums kept = sums_;
    if (!options_.state || !options_.state->read_sums(kept) || kept.samples < 0 ||
        kept.samples > static_cast<int64_t>(data_.samples.size()))
      return;
    for (const Lane& lane : kept.lanes)
      for (const InputMoments& m : lane) {
        const bool whole =
            static_cast<int64_t>(m.mean.size()) == m.size * m.channels && static_cast<int64_t>(m.products.size()) == sums_of(m);
        if (!whole && (m.windows > 0 || !m.mean.empty())) return;
      }
    sums_ = std::move(kept);
  }

  // Whether the sample could be fed.
  bool show(size_t sample, Runner& runner, Lane& lane) {
    try {
      data_.feed(sample, runner);
    } catch (const Error&) {
      return false;
    }
    try {
      runner.run([&](int tap, const Tensor& t) { take(sample, tap, t, lane); });
    } catch (const Error& e) {
      throw e.within(data_.samples[sample]);
    }
    return true;
  }

  void take(size_t sample, int tap, const Tensor& t, Lane& lane) {
    if (t.dtype() != DType::f32 || t.size() == 0) return;
    for (size_t i : readers_[static_cast<size_t>(tap)]) {
      // Some eight windows for each weight of an output, so that their sums know more than the samples by heart.
      const int64_t wanted = 8 * layers_[i].moments.size / static_cast<int64_t>(data_.samples.size());
      const int64_t max_windows = std::max(options_.windows_per_image, std::min(wanted, kMaxWindows));
      if (const std::optional<Windows> w = windows_of(layers_[i], t, max_windows, sample)) add_windows(lane[i], *w);
    }
  }

  // All lanes' sums of a layer into the first.
  void join(size_t layer) {
    InputMoments& all = sums_.lanes[0][layer];
    for (size_t l = 1; l < sums_.lanes.size(); ++l) {
      InputMoments& m = sums_.lanes[l][layer];
      if (m.windows == 0) continue;
      if (all.windows == 0) {
        all = std::exchange(m, {});
        continue;
      }
      all.windows += m.windows;
      for (size_t i = 0; i < m.mean.size(); ++i) all.mean[i] += m.mean[i];
      for (size_t i = 0; i < m.products.size(); ++i) all.products[i] += m.products[i];
      m = {};
    }
  }

  // Sums to means.
  static void divide(InputMoments& m) {
    if (m.windows == 0) return;
    for (double& v : m.mean) v /= static_cast<double>(m.windows);
    for (float& v : m.products) v /= static_cast<float>(m.windows);
  }

  const CalibrationData& data_;
  const MomentOptions& options_;
  std::vector<WatchedLayer> layers_;
  std::vector<std::vector<size_t>> readers_;  // layers by tap
  MomentSums sums_;
  std::shared_ptr<const Plan> compiled_;
};

}  // namespace

std::shared_ptr<const RoundedLayer> Moments::rounded(const std::string& key, const std::function<RoundedLayer()>& make) const {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto it = rounded_.find(key); it != rounded_.end()) return it->second;
  }
  std::optional<RoundedLayer> kept;
  if (state) kept = state->find(key);
  auto made = std::make_shared<const RoundedLayer>(kept ? std::move(*kept) : make());
  if (state && !kept) state->keep(key, *made);
  const std::lock_guard<std::mutex> lock(mutex_);
  return rounded_.emplace(key, std::move(made)).first->second;
}

std::shared_ptr<const Moments> second_moments(const Graph& graph, PlanOptions plan, const CalibrationData& data,
                                              const MomentOptions& options) {
  return MomentRun(graph, std::move(plan), data, options).run();
}

}  // namespace cytodet::quant
