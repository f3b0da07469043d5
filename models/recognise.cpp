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
  const Recogniser& r = chosen(network, answers);
  Recognition found;
  found.family = r.name;
  found.model = Json::object();
  found.findings.push_back({r.summary, r.evidence});
  r.describe(network, answers, found);
  return found;
}

}  // namespace cytodet::models
