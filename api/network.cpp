// Functions of cytodet/c.h that run a model's network without making boxes of what it gives.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "api/model_handle.h"
#include "api/pixels_slide.h"
#include "api/tensor_lists.h"
#include "pipeline/detect/detector.h"

namespace cytodet::api {
namespace {

using core::DType, core::Shape, core::Tensor, core::UsageError;

// values(stream): the network's outputs.
template <class Values>
cytodet_tensors* run_network(cytodet_model& model, Values values) {
  const StreamPool::Lease lease = model.pool->take(1);
  const std::vector<Tensor> found = values(lease.streams().front());
  auto tensors = std::make_unique<cytodet_tensors>();
  const auto& outputs = model.detector->plan().outputs();
  for (size_t i = 0; i < outputs.size(); ++i) add_values(*tensors, outputs[i].name, found[i]);
  return tensors.release();
}

cytodet_tensors* on_image(cytodet_model& model, const cytodet_image* image) {
  require(image, "image");
  const cytodet_image given = images_of(image, 1).front();
  const core::Image pixels = pixels_of(given, given.name ? given.name : "image");
  return run_network(model, [&](int stream) { return model.detector->values_of_whole(pixels, stream); });
}

// Values of the float input as the bytes that the plan takes.
void put_quantized(const Tensor& values, const exec::InputQuantParams& q, Tensor& input) {
  const float* from = values.data<float>();
  uint8_t* to = static_cast<uint8_t*>(input.raw());
  const size_t channels = q.inverse_scales.size();
  for (int64_t i = 0; i < values.size(); ++i)
    to[i] = static_cast<uint8_t>(
        std::clamp(std::nearbyint(from[i] * q.inverse_scales[static_cast<size_t>(i) % channels]), q.qmin, q.qmax) - q.qmin);
}

cytodet_tensors* on_tensor(cytodet_model& model, const cytodet_tensor* input) {
  require(input, "input");
  cytodet_tensor given = tensors_of(input, 1).front();
  if (!given.name) given.name = model.detector->network().input().node.c_str();
  const Tensor values = values_of(given);
  const exec::TensorSpec& spec = model.detector->plan().inputs().at(0);
  const DType wanted = spec.quant ? DType::f32 : spec.dtype;
  const Shape shape = model.detector->network().input_shape();
  if (values.dtype() != wanted || values.shape() != shape)
    throw UsageError("input " + spec.name, "is fed " + core::name_of(values.dtype()) + " " + core::to_string(values.shape()),
                     "feed " + core::name_of(wanted) + " " + core::to_string(shape));
  return run_network(model, [&](int stream) {
    exec::Runner& runner = model.detector->runner(stream);
    Tensor& to = runner.input(0);
    if (spec.quant)
      put_quantized(values, *spec.quant, to);
    else
      std::memcpy(to.raw(), values.raw(), values.bytes());
    runner.run();
    return runner.outputs();
  });
}

}  // namespace
}  // namespace cytodet::api

using namespace cytodet;
using namespace cytodet::api;

cytodet_tensors* cytodet_model_network(cytodet_model* model, const cytodet_image* image, cytodet_error** error) {
  return guarded(error, [&] {
    require(model, "model");
    return on_image(*model, image);
  });
}
cytodet_tensors* cytodet_model_network_on(cytodet_model* model, const cytodet_tensor* input, cytodet_error** error) {
  return guarded(error, [&] {
    require(model, "model");
    return on_tensor(*model, input);
  });
}
