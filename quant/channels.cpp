#include "quant/channels.h"

#include <limits>

#include "core/error.h"

namespace cytodet::quant {
namespace {

size_t channels_of(const Tensor& t) { return t.rank() > 0 ? static_cast<size_t>(t.dim(-1)) : 1; }

}  // namespace

void ChannelExtremes::start(size_t channels) {
  if (low.empty()) {
    low.assign(channels, std::numeric_limits<float>::infinity());
    high.assign(channels, -std::numeric_limits<float>::infinity());
  }
  if (low.size() != channels) throw Error("", "its last dimension differs between samples", "calibrate without --per-channel");
}

void ChannelExtremes::widen(const float* lows, const float* highs) {
  float* l = low.data();
  float* h = high.data();
  for (size_t c = 0, n = low.size(); c < n; ++c) {
    l[c] = lows[c] < l[c] ? lows[c] : l[c];
    h[c] = highs[c] > h[c] ? highs[c] : h[c];
  }
}

void ChannelExtremes::observe(const Tensor& t) {
  start(channels_of(t));
  const float* v = t.data<float>();
  for (const float* end = v + t.size(); v != end; v += low.size()) widen(v, v);
}

void ChannelExtremes::merge(const ChannelExtremes& other) {
  if (other.low.empty()) return;
  start(other.low.size());
  widen(other.low.data(), other.high.data());
}

std::vector<double> channel_means(const Tensor& t) {
  const size_t channels = channels_of(t), rows = static_cast<size_t>(t.size()) / channels;
  std::vector<double> means(channels, 0);
  double* sum = means.data();
  const float* v = t.data<float>();
  for (size_t r = 0; r < rows; ++r, v += channels)
    for (size_t c = 0; c < channels; ++c) sum[c] += static_cast<double>(v[c]);
  for (double& m : means) m /= static_cast<double>(rows);
  return means;
}

}  // namespace cytodet::quant
