#include "pipeline/detect/network_input.h"

#include <algorithm>

#include "core/error.h"

namespace cytodet::pipeline {
namespace {

bool is_plain(const InputSettings& s) {
  const ChannelScale scale = channel_scale(s);
  return std::all_of(scale.factor, scale.factor + 3, [](float v) { return v == 1; }) &&
         std::all_of(scale.offset, scale.offset + 3, [](float v) { return v == 0; });
}

}  // namespace

NetworkInput::NetworkInput(const Plan& plan, const InputSettings& settings) {
  const TensorSpec& spec = plan.inputs().at(0);
  if (spec.quant) {
    bytes_ = InputQuantization{{}, spec.quant->qmin, spec.quant->qmax};
    std::copy(spec.quant->inverse_scales.begin(), spec.quant->inverse_scales.end(), bytes_->inverse_scale);
  } else if (spec.dtype == DType::u8) {
    if (!is_plain(settings))
      throw Error("input " + spec.name, "takes bytes of pixels, but the model file normalises them",
                  "set input.divisor to 1, input.mean to [0, 0, 0], input.deviation to [1, 1, 1]");
    bytes_ = InputQuantization{};
  } else if (spec.dtype != DType::f32) {
    throw Error("input " + spec.name, "is of type " + name_of(spec.dtype), "images are fed as float32 or uint8");
  }
}

void NetworkInput::put(const DetectionModel& network, const Image& image, const Letterbox& box, Runner& runner) const {
  if (bytes_)
    network.preprocess(image, box, *bytes_, runner.input(0).data<uint8_t>());
  else
    network.preprocess(image, box, runner.input(0).data<float>());
}

}  // namespace cytodet::pipeline
