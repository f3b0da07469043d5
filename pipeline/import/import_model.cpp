#include "pipeline/import/import_model.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/settings.h"
#include "models/common/letterbox.h"
#include "pipeline/detect/detector.h"
#include "pipeline/import/describe_network.h"

namespace cytodet::pipeline {
namespace {

void refuse_open_questions(const Recognition& r, const std::string& path) {
  if (r.questions.empty()) return;
  std::string why, options;
  for (const Question& q : r.questions) {
    why += (why.empty() ? "" : "; ") + q.why;
    options += (options.empty() ? "" : ", and ") + q.option;
  }
  throw UsageError(path, "is " + r.findings.front().what + "; " + why, "give " + options);
}

// The network on a gray image: what it gives is what the model file says. What only that shows is added to `found`.
void try_out(const ModelFile& model, Recognition& found) {
  Detector detector(model, {.streams = 1});
  Image gray(model.input.width, model.input.height);
  std::fill(gray.rgb.begin(), gray.rgb.end(), uint8_t{114});
  StageTimes times;
  detector.run(gray, letterbox_of(gray.width, gray.height, model.input), 0, times);
  if (found.look_at) found.look_at(detector.runner(0).output(0), found);
}

}  // namespace

ImportedModel import_model(const std::string& path, const std::string& name, const ImportAnswers& answers) {
  const NetworkDescription network = describe_network(path, answers);
  ImportedModel imported;
  try {
    imported.recognition = recognise(network, answers);
  } catch (const Error& e) {
    throw e.where().starts_with("--") ? e : e.within(path);
  }
  refuse_open_questions(imported.recognition, path);
  Json& json = imported.recognition.model;
  json["name"] = name.empty() ? std::filesystem::path(path).stem().string() : name;
  json["graph"] = path;
  if (answers.score) json["suppression"]["score"] = *answers.score;
  imported.model = parse_model_file(json, path);
  try {
    try_out(imported.model, imported.recognition);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    throw Error(e.where(), "was taken for " + imported.recognition.findings.front().what + ", but " + e.problem(),
                e.fix().empty() ? "say another --family" : e.fix());
  }
  if (imported.recognition.look_at) imported.model = parse_model_file(json, path);
  return imported;
}

std::string text_of(const ImportedModel& imported) {
  size_t width = 0;
  for (const Finding& f : imported.recognition.findings) width = std::max(width, f.what.size());
  width = std::min<size_t>(width, 70);
  std::string text;
  for (const Finding& f : imported.recognition.findings)
    text += f.what + std::string(f.what.size() < width ? width - f.what.size() : 0, ' ') + "  by " + f.from + "\n";
  return text;
}

std::string families_text() {
  std::string text;
  for (const Recogniser& r : recognisers()) text += std::string(r.name) + ": " + r.summary + ", by " + r.evidence + "\n";
  return text;
}

}  // namespace cytodet::pipeline
