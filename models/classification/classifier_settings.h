// The keys of a model file that a classification network adds: how an image is resized and cropped to the input, which output
// holds the scores, and how a data set's labels count.
#pragma once

#include <string>

#include "core/image.h"
#include "models/model_file.h"

namespace cytodet::models {

// Which part of an image the network sees, at which size.
enum class ResizeMethod {
  stretch,       // the whole image, as wide and high as the input, whatever its aspect
  short_side,    // the image's shorter side becomes `short_side` pixels, its aspect stays; the input is the middle of that
  central_crop,  // the middle `fraction` of width and of height, stretched to the input
};
// The length of the longer side, side * short_side / shorter side.
enum class SideRounding { down, nearest };  // nearest: ties to even, in float32 as TensorFlow computes it
// Which place of the source a pixel x of the resized image is sampled at; scale = source side / resized side.
enum class Sampling {
  half_pixel,     // (x + 0.5) * scale - 0.5: TensorFlow 2
  legacy,         // x * scale: TensorFlow 1
  align_corners,  // x * (source side - 1) / (resized side - 1)
};

struct ResizeSettings {
  ResizeMethod method = ResizeMethod::short_side;
  int short_side = 256;  // pixels
  SideRounding rounding = SideRounding::down;
  double fraction = 0.875;
  Sampling sampling = Sampling::half_pixel;
};
void fields(Fields& f, ResizeSettings& s);

struct ClassificationSettings : FamilySettings {
  std::string output = "predict";  // node that gives [batch, classes]
  bool logits = false;             // it gives logits: scores are their softmax
  int label_offset = 0;            // channel of a class = its number in a data set + this
  ResizeSettings resize;
  JpegDecoding jpeg;

  const char* family() const override { return "classification"; }
  std::unique_ptr<FamilySettings> clone() const override { return std::make_unique<ClassificationSettings>(*this); }
  void describe(Fields& f) override;
};
// The classification settings of a model file. Throws Error when its family is another one.
ClassificationSettings& classification_settings(const ModelFile& model);

// Throws UsageError with `where` and the key.
void check_classification(const ModelFile& model, const std::string& where);

}  // namespace cytodet::models
