#include "models/efficientdet/model_file.h"

#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "core/suggest.h"

namespace cytodet::models {
namespace {

struct Row {
  const char* name;
  int side, max_level;
  double scale;
  bool lite;
};

// Input sides and anchor scales of the published networks (google/automl, efficientdet/hparams_config.py).
constexpr Row kConfigurations[] = {
    {"efficientdet-d0", 512, 7, 4.0, false},   {"efficientdet-d1", 640, 7, 4.0, false},
    {"efficientdet-d2", 768, 7, 4.0, false},   {"efficientdet-d3", 896, 7, 4.0, false},
    {"efficientdet-d4", 1024, 7, 4.0, false},  {"efficientdet-d5", 1280, 7, 4.0, false},
    {"efficientdet-d6", 1280, 7, 4.0, false},  {"efficientdet-d7", 1536, 7, 5.0, false},
    {"efficientdet-d7x", 1536, 8, 4.0, false}, {"efficientdet-lite0", 320, 7, 3.0, true},
    {"efficientdet-lite1", 384, 7, 3.0, true}, {"efficientdet-lite2", 448, 7, 3.0, true},
    {"efficientdet-lite3", 512, 7, 4.0, true}, {"efficientdet-lite3x", 640, 7, 3.0, true},
    {"efficientdet-lite4", 640, 7, 4.0, true},
};

void need(bool ok, const std::string& key, const std::string& problem, const std::string& where) {
  if (!ok) throw UsageError(where + ": " + key, problem);
}

}  // namespace

void fields(Fields& f, InputSettings& s) {
  f("node", s.node);
  f("width", s.width);
  f("height", s.height);
  f("pixel_order", s.pixel_order);
  f("mean", s.mean);
  f("deviation", s.deviation);
}

void fields(Fields& f, AnchorSettings& s) {
  f("min_level", s.min_level);
  f("max_level", s.max_level);
  f("octaves", s.octaves);
  f("aspects", s.aspects);
  f("scale", s.scale);
}

void fields(Fields& f, SuppressionSettings& s) {
  f("method", s.method);
  f("iou", s.iou);
  f("sigma", s.sigma);
  f("score", s.score);
  f("candidates_per_class", s.candidates_per_class);
  f("detections", s.detections);
}

void fields(Fields& f, ModelFile& s) {
  f("name", s.name);
  f("graph", s.graph);
  f("input", s.input);
  f("class_logits", s.class_logits);
  f("box_deltas", s.box_deltas);
  f("anchors", s.anchors);
  f("classes", s.classes);
  f("category_ids", s.category_ids);
  f("suppression", s.suppression);
}

void check(const ModelFile& m, const std::string& where) {
  const AnchorSettings& a = m.anchors;
  need(m.input.width > 0 && m.input.width <= 16384, "input.width", "must be 1 to 16384", where);
  need(m.input.height > 0 && m.input.height <= 16384, "input.height", "must be 1 to 16384", where);
  need(m.input.pixel_order == "RGB" || m.input.pixel_order == "BGR", "input.pixel_order", "must be RGB or BGR", where);
  need(m.input.mean.size() == 3, "input.mean", "must have three numbers", where);
  need(m.input.deviation.size() == 3 && *std::min_element(m.input.deviation.begin(), m.input.deviation.end()) > 0,
       "input.deviation", "must have three positive numbers", where);
  need(a.min_level >= 1 && a.max_level >= a.min_level && a.max_level <= 12, "anchors",
       "levels must satisfy 1 <= min_level <= max_level <= 12", where);
  need(a.octaves >= 1 && a.octaves <= 16, "anchors.octaves", "must be 1 to 16", where);
  need(!a.aspects.empty() && a.aspects.size() <= 16 && *std::min_element(a.aspects.begin(), a.aspects.end()) > 0,
       "anchors.aspects", "must be positive numbers", where);
  need(a.scale > 0, "anchors.scale", "must be positive", where);
  size_t levels = static_cast<size_t>(a.max_level - a.min_level + 1);
  need(m.class_logits.size() == levels, "class_logits", "must name " + std::to_string(levels) + " nodes, one per level", where);
  need(m.box_deltas.size() == levels, "box_deltas", "must name " + std::to_string(levels) + " nodes, one per level", where);
  need(!m.classes.empty() && m.classes.size() <= 10000, "classes", "must name the classes", where);
  need(m.category_ids.empty() || m.category_ids.size() == m.classes.size(), "category_ids", "must have one id per class", where);
  const SuppressionSettings& s = m.suppression;
  need(s.method == "hard" || s.method == "gaussian", "suppression.method", "must be hard or gaussian", where);
  need(s.iou >= 0 && s.iou <= 1, "suppression.iou", "must be 0 to 1", where);
  need(s.sigma > 0, "suppression.sigma", "must be positive", where);
  need(s.score >= 0 && s.score < 1, "suppression.score", "must be 0 to 1", where);
  need(s.candidates_per_class > 0 && s.detections > 0, "suppression", "counts must be positive", where);
}

ModelFile read_model_file(const std::filesystem::path& path) {
  ModelFile m;
  read_settings(read_json(path, int64_t{16} << 20), m, path.string());
  if (m.graph.empty()) throw UsageError(path.string() + ": graph", "is missing", "name the frozen graph");
  check(m, path.string());
  std::filesystem::path graph = m.graph;
  if (graph.is_relative()) m.graph = (path.parent_path() / graph).string();
  return m;
}

void write_model_file(const ModelFile& model, const std::filesystem::path& path) {
  ModelFile m = model;
  const std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal().parent_path();
  m.graph = std::filesystem::absolute(model.graph).lexically_normal().lexically_relative(folder).string();
  write_file(path, write_settings(m).dump(1) + "\n");
}

ModelFile configuration(const std::string& name) {
  for (const Row& row : kConfigurations) {
    if (name != row.name) continue;
    ModelFile m;
    m.name = name;
    m.input.width = m.input.height = row.side;
    if (row.lite) {
      m.input.mean = {127.0 / 255, 127.0 / 255, 127.0 / 255};
      m.input.deviation = {128.0 / 255, 128.0 / 255, 128.0 / 255};
    }
    m.anchors.max_level = row.max_level;
    m.anchors.scale = row.scale;
    for (int level = m.anchors.min_level; level <= row.max_level; ++level) {
      m.class_logits.push_back("class_logits_" + std::to_string(level));
      m.box_deltas.push_back("box_deltas_" + std::to_string(level));
    }
    return m;
  }
  throw UsageError("configuration " + name, "there is no such configuration", suggest(name, configuration_names()));
}

std::vector<std::string> configuration_names() { return names_of(kConfigurations); }

}  // namespace cytodet::models
