// What a family of detection networks is to the rest of the program: an image becomes the network's input, the network's outputs
// become detections.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/box.h"
#include "core/image.h"
#include "models/common/letterbox.h"
#include "models/common/preprocess.h"
#include "models/network_model.h"

namespace cytodet::models {

class DetectionModel : public NetworkModel {
 public:
  using NetworkModel::NetworkModel;

  // Fills the input with an image that lies in it as `box` says; as float32, or as bytes where the compiled network takes those.
  virtual void preprocess(const Image& image, const Letterbox& box, float* out) const;
  virtual void preprocess(const Image& image, const Letterbox& box, const InputQuantization& quantization, uint8_t* out) const;

  // The boxes that the values of box heads are relative to, [n, 4]: centre x and y, width and height in pixels of the input, in
  // the order of the heads. Empty: the family has none, or does not say.
  virtual std::vector<float> priors() const { return {}; }

  // Detections of an image of width x height pixels in its own pixels, ranked (see ranks_before). The outputs are those of
  // outputs(), for one image.
  Detections decode(std::span<const Tensor* const> outputs, const Letterbox& box, int width, int height) const;

 protected:
  // The above for an image whose pixels are square: input = source * scale both across and down. Boxes are clipped to the image.
  virtual Detections decode_square(std::span<const Tensor* const> outputs, double scale, double width, double height) const = 0;
  // Whether a box's middle is what was found, and its sides are not: then decode_square() does not clip, and decode() drops what
  // has its middle outside of the image.
  virtual bool keeps_centres() const { return false; }
};

// The model of the file's family. Throws UsageError where that family is unknown or does not detect.
std::shared_ptr<const DetectionModel> make_detection_model(ModelFile file);

}  // namespace cytodet::models
