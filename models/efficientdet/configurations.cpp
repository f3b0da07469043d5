#include "models/efficientdet/configurations.h"

#include "core/error.h"
#include "core/suggest.h"
#include "models/efficientdet/efficientdet_settings.h"

namespace cytodet::models {
namespace {

struct Configuration {
  const char* name;
  int side, max_level;
  double scale;
  bool lite;
};

// Input sides and anchor scales of the published networks (google/automl, efficientdet/hparams_config.py).
constexpr Configuration kConfigurations[] = {
    {"efficientdet-d0", 512, 7, 4.0, false},   {"efficientdet-d1", 640, 7, 4.0, false},
    {"efficientdet-d2", 768, 7, 4.0, false},   {"efficientdet-d3", 896, 7, 4.0, false},
    {"efficientdet-d4", 1024, 7, 4.0, false},  {"efficientdet-d5", 1280, 7, 4.0, false},
    {"efficientdet-d6", 1280, 7, 4.0, false},  {"efficientdet-d7", 1536, 7, 5.0, false},
    {"efficientdet-d7x", 1536, 8, 4.0, false}, {"efficientdet-lite0", 320, 7, 3.0, true},
    {"efficientdet-lite1", 384, 7, 3.0, true}, {"efficientdet-lite2", 448, 7, 3.0, true},
    {"efficientdet-lite3", 512, 7, 4.0, true}, {"efficientdet-lite3x", 640, 7, 3.0, true},
    {"efficientdet-lite4", 640, 7, 4.0, true},
};

}  // namespace

ModelFile configuration(const std::string& name) {
  const Configuration* c = entry_named(kConfigurations, name);
  if (!c) throw UsageError("configuration " + name, "there is no such configuration", suggest(name, configuration_names()));
  ModelFile m;
  m.name = name;
  m.input.width = m.input.height = c->side;
  if (c->lite) {
    m.input.mean = {127.0 / 255, 127.0 / 255, 127.0 / 255};
    m.input.deviation = {128.0 / 255, 128.0 / 255, 128.0 / 255};
  }
  auto own = std::make_unique<EfficientDetSettings>();
  own->anchors.max_level = c->max_level;
  own->anchors.scale = c->scale;
  for (int level = own->anchors.min_level; level <= c->max_level; ++level) {
    own->class_logits.push_back("class_logits_" + std::to_string(level));
    own->box_deltas.push_back("box_deltas_" + std::to_string(level));
  }
  m.own = OwnSettings(std::move(own));
  return m;
}

std::vector<std::string> configuration_names() { return names_of(kConfigurations); }

}  // namespace cytodet::models
