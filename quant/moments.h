// Second moments of what layers read: how the numbers of a window go together, by which learned_rounding.h rounds weights.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "graph/quantized/quant_nodes.h"
#include "quant/calibrate.h"

namespace cytodet::quant {

// First and second moments of what one layer multiplies by its filter: of a Conv2D windows of [kernel height, kernel width,
// channels] numbers, of a MatMul rows, of a depthwise layer windows of one channel.
struct InputMoments {
  bool depthwise = false;
  int64_t windows = 0;          // that were seen
  int64_t size = 0;             // numbers of a window; of a depthwise layer kernel height * width
  int64_t channels = 1;         // of a depthwise layer
  int64_t block = 0;            // products are kept within blocks of so many numbers, so that memory is bounded
  std::vector<double> mean;     // [size]; depthwise [size, channels]
  std::vector<float> products;  // mean of x[i] * x[j], j >= i: a square for each block; depthwise [size, size, channels]
  int64_t first(int64_t block_index) const { return block_index * block; }
  int64_t blocks() const { return (size + block - 1) / block; }
  int64_t length(int64_t block_index) const { return std::min(block, size - first(block_index)); }
  const float* square(int64_t block_index) const { return products.data() + block_index * block * block; }
};

// What rounding a layer gave, kept: a search quantizes a network many times.
struct RoundedLayer {
  QuantizedWeights weights;
  std::vector<double> moved;  // how far the mean of each output channel moved by rounding; empty: not known
};

class RoundingState;

class Moments {
 public:
  std::map<std::string, InputMoments> layers;  // by the layer's name
  int64_t images = 0;
  std::shared_ptr<RoundingState> state;  // that rounded layers are taken from and kept in; null: nowhere

  // The result under this key: as kept, or of `make`, once. Any thread may ask.
  std::shared_ptr<const RoundedLayer> rounded(const std::string& key, const std::function<RoundedLayer()>& make) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const RoundedLayer>> rounded_;
};

struct MomentOptions {
  int64_t max_bytes = int64_t{2} << 30;  // of all sums together: larger layers are cut into blocks until they fit
  int64_t windows_per_image = 256;       // at least, where a map has as many; more where a layer has many weights
  bool quiet = false;
  std::shared_ptr<RoundingState> state = {};  // that sums are taken from and kept in, should the run be killed; null: nowhere
};

// Runs the samples through the float network, which `plan` feeds and fetches. Layers: Conv2D and DepthwiseConv2dNative of maps
// with channels last, MatMul; with a constant filter, outside of loops. Independent of threads. Samples that cannot be fed are
// left out: calibrate() names them.
std::shared_ptr<const Moments> second_moments(const Graph& graph, PlanOptions plan, const CalibrationData& data,
                                              const MomentOptions& options);

}  // namespace cytodet::quant
