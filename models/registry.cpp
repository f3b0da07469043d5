#include "models/registry.h"

#include <algorithm>

#include "core/settings.h"
#include "core/suggest.h"
#include "models/boxes/boxes.h"
#include "models/classification/classification.h"
#include "models/efficientdet/efficientdet.h"
#include "models/heat_maps/heat_maps.h"

namespace cytodet::models {
namespace {

std::vector<ModelFamily>& table() {
  static std::vector<ModelFamily> families{
      kEfficientDet,
      kClassification,
      kHeatMaps,  // before kBoxes, whose key "outputs" it has
      kBoxes,
  };
  return families;
}

const ModelFamily& family_named(const std::string& name, const std::string& where) {
  if (const ModelFamily* family = entry_named(table(), name)) return *family;
  throw UsageError(where + ": family", "\"" + name + "\" is no known family of networks", suggest(name, names_of(table())));
}

}  // namespace

const char* name_of(NetworkKind kind) { return kind == NetworkKind::detection ? "detection" : "classification"; }

const std::vector<ModelFamily>& families() { return table(); }

void add_family(const ModelFamily& family) { table().push_back(family); }

const ModelFamily& family_of(const Json& json, const std::string& where) {
  if (!json.is_object()) return table().front();
  if (const auto named = json.find("family"); named != json.end()) {
    if (!named->is_string()) throw UsageError(where + ": family", "must be a string");
    return family_named(named->get<std::string>(), where);
  }
  const auto own = std::find_if(table().begin(), table().end(), [&](const ModelFamily& f) { return f.recognises(json); });
  return own == table().end() ? table().front() : *own;
}

const ModelFamily& family_of(const ModelFile& model) {
  if (const FamilySettings* own = model.own.get()) return family_named(own->family(), model.name);
  return model.family.empty() ? table().front() : family_named(model.family, model.name);
}

bool is_model_file(const Json& json) {
  return json.is_object() && (json.contains("graph") || std::any_of(table().begin(), table().end(),
                                                                    [&](const ModelFamily& f) { return f.recognises(json); }));
}

}  // namespace cytodet::models
