#include "models/network_model.h"

#include "core/error.h"
#include "models/classification_model.h"
#include "models/detection_model.h"
#include "models/registry.h"

namespace cytodet::models {
namespace {

template <class Kind>
std::shared_ptr<const Kind> make_kind(ModelFile file, const char* wanted, const char* fix) {
  const ModelFamily& family = family_of(file);
  const std::string where = file.graph;
  auto model = std::dynamic_pointer_cast<const Kind>(family.make(std::move(file)));
  if (!model)
    throw UsageError(
        where, "is a network for " + std::string(name_of(family.kind)) + " (family " + family.name + "), not for " + wanted, fix);
  return model;
}

}  // namespace

std::shared_ptr<const NetworkModel> make_model(ModelFile file) {
  const ModelFamily& family = family_of(file);
  return family.make(std::move(file));
}

std::shared_ptr<const DetectionModel> make_detection_model(ModelFile file) {
  return make_kind<DetectionModel>(std::move(file), "detection", "use cytodet classify, or evaluate with labelled images");
}

std::shared_ptr<const ClassificationModel> make_classification_model(ModelFile file) {
  return make_kind<ClassificationModel>(std::move(file), "classification", "use cytodet detect");
}

}  // namespace cytodet::models
