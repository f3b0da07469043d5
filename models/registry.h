// The families of networks, one entry each. To add one: a folder models/NAME with its settings, its DetectionModel or
// ClassificationModel, and its entry, as models/efficientdet has them; then the entry's name in registry.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/model_file.h"
#include "models/network_model.h"

namespace cytodet::models {

// What a network's outputs become.
enum class NetworkKind { detection, classification };
const char* name_of(NetworkKind kind);

struct ModelFamily {
  const char* name;  // value of the model file's key "family"
  // Whether a model file without that key is of this family: by keys that only this one has.
  bool (*recognises)(const Json& model_file);
  // The family's own keys with their defaults; they are read and written by FamilySettings::describe().
  std::unique_ptr<FamilySettings> (*settings)();
  // Throws UsageError with `where` and the key where the family's keys hold what cannot be.
  void (*check)(const ModelFile& model, const std::string& where);
  // Makes the model of a file that passed check(): a DetectionModel or a ClassificationModel, as `kind` says.
  std::shared_ptr<const NetworkModel> (*make)(ModelFile model);
  NetworkKind kind = NetworkKind::detection;
};

// The first entry is the family of files that no entry recognises, so that their errors name its keys.
const std::vector<ModelFamily>& families();
// For programs that bring a family of their own: before any model file is read, from one thread.
void add_family(const ModelFamily& family);

// UsageError with `where` where the key "family" names an unknown one.
const ModelFamily& family_of(const Json& model_file, const std::string& where);
const ModelFamily& family_of(const ModelFile& model);

// Whether JSON beside a graph is a model file: it has the key "graph", or a key of a family.
bool is_model_file(const Json& json);

}  // namespace cytodet::models
