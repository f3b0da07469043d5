// What a family of detection networks is to the rest of the program: an image becomes the network's input, the network's outputs
// become detections.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/box.h"
#include "core/image.h"
#include "core/tensor.h"
#include "models/common/letterbox.h"
#include "models/common/preprocess.h"
#include "models/model_file.h"

namespace cytodet::models {

// An output as a compiled network has it.
struct OutputSpec {
  std::string name;
  DType dtype = DType::invalid;
  Shape shape;  // -1 where only known at run time
};

// A model file made ready for work. Never changes, so that all threads share one.
class DetectionModel {
 public:
  explicit DetectionModel(ModelFile file) : file_(std::move(file)) {}
  virtual ~DetectionModel() = default;
  const ModelFile& file() const { return file_; }

  // Input: one placeholder [1, height, width, 3].
  const InputSettings& input() const { return file_.input; }
  Shape input_shape() const { return {1, input().height, input().width, 3}; }
  // Fills the input with an image that lies in it as `box` says; as float32, or as bytes where the compiled network takes those.
  virtual void preprocess(const Image& image, const Letterbox& box, float* out) const;
  virtual void preprocess(const Image& image, const Letterbox& box, const InputQuantization& quantization, uint8_t* out) const;

  // Names of the nodes to fetch, in the order in which decode() takes them.
  virtual std::vector<std::string> outputs() const = 0;
  // Throws Error with the output's name where one has not the type and shape that decode() reads. One per name of outputs().
  virtual void check_outputs(std::span<const OutputSpec> compiled) const = 0;
  // Detections of an image of width x height pixels in its own pixels, ranked (see ranks_before).
  Detections decode(std::span<const Tensor* const> outputs, const Letterbox& box, int width, int height) const;

 protected:
  // The above for an image whose pixels are square: input = source * scale both across and down. Boxes are clipped to the image.
  virtual Detections decode_square(std::span<const Tensor* const> outputs, double scale, double width, double height) const = 0;

 private:
  ModelFile file_;
};

// The model of the file's family. Throws UsageError where that family is unknown.
std::shared_ptr<const DetectionModel> make_model(ModelFile file);

}  // namespace cytodet::models
