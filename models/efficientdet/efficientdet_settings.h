// The keys of a model file that EfficientDet adds: its heads, and the anchors that they speak of.
#pragma once

#include <string>
#include <vector>

#include "models/model_file.h"

namespace cytodet::models {

struct AnchorSettings {
  int min_level = 3, max_level = 7;
  int octaves = 3;                                // scales per octave
  std::vector<double> aspects = {1.0, 2.0, 0.5};  // width / height
  double scale = 4.0;                             // anchor side in strides

  size_t levels() const { return static_cast<size_t>(max_level - min_level) + 1; }
};
void fields(Fields& f, AnchorSettings& s);

struct EfficientDetSettings : FamilySettings {
  std::vector<std::string> class_logits, box_deltas;  // node per level, min_level first
  AnchorSettings anchors;

  const char* family() const override { return "efficientdet"; }
  std::unique_ptr<FamilySettings> clone() const override { return std::make_unique<EfficientDetSettings>(*this); }
  void describe(Fields& f) override;
};
// The EfficientDet settings of a model file. Throws Error when its family is another one.
EfficientDetSettings& efficientdet_settings(const ModelFile& model);

// Throws UsageError with `where` and the key.
void check_efficientdet(const ModelFile& model, const std::string& where);

}  // namespace cytodet::models
