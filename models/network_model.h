// What every family of networks is to the rest of the program: one image as input, outputs by the names of their nodes. What the
// outputs mean is the business of its kind: DetectionModel, ClassificationModel.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "models/model_file.h"

namespace cytodet::models {

// An output as a compiled network has it.
struct OutputSpec {
  std::string name;
  DType dtype = DType::invalid;
  Shape shape;  // -1 where only known at run time
};

// A model file made ready for work. Never changes, so that all threads share one.
class NetworkModel {
 public:
  explicit NetworkModel(ModelFile file) : file_(std::move(file)) {}
  virtual ~NetworkModel() = default;
  const ModelFile& file() const { return file_; }

  // Input: one placeholder [batch, height, width, 3].
  const InputSettings& input() const { return file_.input; }
  Shape input_shape(int64_t batch = 1) const { return {batch, input().height, input().width, 3}; }

  // Names of the nodes to fetch, in the order in which the kind's decoder takes them.
  virtual std::vector<std::string> outputs() const = 0;
  // Throws Error with the output's name where one has not the type and shape that is read. One per name of outputs().
  virtual void check_outputs(std::span<const OutputSpec> compiled) const = 0;

 private:
  ModelFile file_;
};

// The model of the file's family. Throws UsageError where that family is unknown.
std::shared_ptr<const NetworkModel> make_model(ModelFile file);

}  // namespace cytodet::models
