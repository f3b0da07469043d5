// What a family of classification networks is to the rest of the program: an image becomes one image of a batch, the network's
// output becomes a score for each class.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/image.h"
#include "models/network_model.h"

namespace cytodet::models {

class ClassificationModel : public NetworkModel {
 public:
  using NetworkModel::NetworkModel;

  // How a JPEG is decoded for this network.
  virtual JpegDecoding jpeg() const = 0;
  // Fills one image's input, float32 [height, width, 3]. Throws Error for an image that is too narrow to be resized.
  virtual void preprocess(const Image& image, float* out) const = 0;
  // Scores of image `row` of a batch, one per class in channel order, as probabilities where the network gives logits. The
  // outputs are those of outputs(), for one batch.
  virtual std::vector<float> scores(std::span<const Tensor* const> outputs, int64_t row) const = 0;
  // The channel of a class that a data set calls by number; none: it is outside of the classes.
  virtual std::optional<int> channel_of(int64_t label) const = 0;
};

// The model of the file's family. Throws UsageError where that family is unknown or does not classify.
std::shared_ptr<const ClassificationModel> make_classification_model(ModelFile file);

}  // namespace cytodet::models
