// What TensorFlow Lite calls post-training quantization: a float network's constants, or all of it, in fewer bits.
#pragma once

#include "graph/io/tflite/write/lite_net.h"

namespace cytodet::graph::lite {

constexpr int64_t kMinInt8Weights = 1024;  // of a filter that becomes 8-bit alone, as in TensorFlow's converter

void to_float16(LiteNet& net);  // float constants become float16, with DEQUANTIZE before who reads them
void to_weights(LiteNet& net);  // filters of kMinInt8Weights and more become int8, one scale for each output channel
enum class Stored { as_float, int8, uint8 };
// Operators whose floats all have a grid (NetTensor::grid) run on int8, as far as TensorFlow Lite has them; the rest stays in
// float between DEQUANTIZE and QUANTIZE. `io`: what inputs and outputs hold; those without a grid stay float.
void to_int8(LiteNet& net, Stored io);

}  // namespace cytodet::graph::lite
