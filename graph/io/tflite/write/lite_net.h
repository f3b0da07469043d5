// A network of TensorFlow Lite's operators on its way into a file: tensors and operators by number, all in float at first.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "graph/io/tflite/quant_grid.h"
#include "lite_model_generated.h"

namespace cytodet::graph::lite {

namespace schema = cytodet::lite_schema;

struct NetTensor {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;
  std::optional<Tensor> data;        // of a constant
  std::optional<Grid> grid;          // of a float that is made while the model runs: what it is rounded to in 8 bits
  std::vector<float> weight_scales;  // of a filter whose numbers are 8-bit values times these already, by `channel_axis`
  int channel_axis = -1;             // of a filter: one scale for each entry; -1: no filter
  LiteQuant quant;                   // how it is stored, in the file
};

struct NetOp {
  using Options = std::function<flatbuffers::Offset<void>(flatbuffers::FlatBufferBuilder&)>;
  schema::BuiltinOperator code;
  std::vector<int> inputs, outputs;  // -1: left out
  schema::BuiltinOptions kind = schema::BuiltinOptions::NONE;
  Options options;
  int version = 1;
};

struct LiteNet {
  std::vector<NetTensor> tensors;
  std::vector<NetOp> ops;  // in an order in which they can run
  std::vector<int> inputs, outputs;

  int add(NetTensor t) {
    tensors.push_back(std::move(t));
    return static_cast<int>(tensors.size()) - 1;
  }
  NetTensor& at(int t) { return tensors[static_cast<size_t>(t)]; }
  const NetTensor& at(int t) const { return tensors[static_cast<size_t>(t)]; }
};

}  // namespace cytodet::graph::lite
