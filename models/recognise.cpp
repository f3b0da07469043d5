#include "models/recognise.h"

#include <algorithm>

#include "core/error.h"
#include "core/join.h"
#include "core/settings.h"
#include "core/suggest.h"
#include "models/boxes/recognise_boxes.h"
#include "models/efficientdet/recognise_efficientdet.h"
#include "models/heat_maps/recognise_heat_maps.h"

namespace cytodet::models {
namespace {

std::string ports_text(const std::vector<Port>& ports) {
  std::vector<std::string> texts;
  for (const Port& p : ports) texts.push_back(p.name + " " + (p.known_rank ? to_string(p.shape) : "of unknown shape"));
  constexpr size_t kShown = 12;
  const size_t all = texts.size();
  if (all > kShown) texts.resize(kShown);
  return join(texts, ", ") + (all > kShown ? " and " + std::to_string(all - kShown) + " more" : "");
}

std::vector<const Recogniser*> fitting(const NetworkDescription& network, const ImportAnswers& answers) {
  std::vector<const Recogniser*> fit;
  for (const bool fallback : {false, true}) {
    for (const Recogniser& r : recognisers())
      if (r.fallback == fallback && r.matches(network, answers)) fit.push_back(&r);
    if (!fit.empty()) break;
  }
  return fit;
}

// Throws where the metadata that ultralytics writes says that the network is for something else. Others write their own words.
void require_detection(const NetworkDescription& n) {
  const auto task = n.metadata.find("task");
  if (task == n.metadata.end()) return;
  for (const char* other : {"segment", "semantic", "pose", "classify", "obb"})
    if (task->second == other)
      throw Error("metadata \"task\"", "is \"" + task->second + "\": no network that gives boxes alone",
                  "export one for \"detect\"");
}

void require_one_image(const NetworkDescription& n) {
  for (const Port& p : n.inputs)
    if (p.is_rank(4) && p.dim(0) > 1)
      throw Error("input " + p.name, "takes batches of " + std::to_string(p.dim(0)) + " images: " + to_string(p.shape),
                  "export the network with a batch of one, or with an open one");
}

// Throws where an answer about boxes is none that the family asks.
void require_used(const ImportAnswers& a, const Recognition& found) {
  if (found.model.value("family", "") != "boxes") return;
  struct Answer {
    const char *option, *key;
    const std::string& value;
  };
  for (const Answer& given : {Answer{"--box-form", "box_form", a.box_form}, Answer{"--box-unit", "box_unit", a.box_unit},
                              Answer{"--class-numbers", "class_numbers", a.class_numbers}})
    if (!given.value.empty() && found.model.value(given.key, "") != given.value)
      throw UsageError(std::string(given.option) + " " + given.value,
                       "is no answer for the family " + found.family + ", which " +
                           (found.model.contains(given.key) ? "has " + found.model.value(given.key, "") : "has none"),
                       "leave it out, or say another --family");
}

const Recogniser& chosen(const NetworkDescription& network, const ImportAnswers& answers) {
  if (!answers.family.empty()) {
    const Recogniser* named = entry_named(recognisers(), answers.family);
    if (!named) throw UsageError("--family " + answers.family, "is not known", suggest(answers.family, names_of(recognisers())));
    if (!named->matches(network, answers))
      throw UsageError("--family " + answers.family,
                       "does not fit: its outputs are " + ports_text(network.outputs) + ", expected are " + named->evidence);
    return *named;
  }
  const std::vector<const Recogniser*> fit = fitting(network, answers);
  if (fit.empty())
    throw Error("outputs", "are those of no family that is known: " + ports_text(network.outputs),
                "see docs/models.md, or write a model file (docs/model_file.md); where sizes are open, --size may help");
  if (fit.size() == 1) return *fit.front();
  std::vector<std::string> names;
  for (const Recogniser* r : fit) names.emplace_back(r->name);
  throw UsageError("outputs", "fit several families: " + join(names, ", "),
                   "say --family NAME, or the classes where they decide");
}

}  // namespace

const std::vector<Recogniser>& recognisers() {
  static const std::vector<Recogniser> all = [] {
    std::vector<Recogniser> entries = box_recognisers();
    entries.push_back(kRecogniseEfficientDet);
    for (const Recogniser& r : heat_map_recognisers()) entries.push_back(r);
    return entries;
  }();
  return all;
}

Recognition recognise(const NetworkDescription& network, const ImportAnswers& answers) {
  require_detection(network);
  require_one_image(network);
  const Recogniser& r = chosen(network, answers);
  Recognition found;
  found.family = r.name;
  found.model = Json::object();
  found.findings.push_back({r.summary, r.evidence});
  r.describe(network, answers, found);
  require_used(answers, found);
  return found;
}

}  // namespace cytodet::models
