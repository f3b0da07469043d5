#include "models/efficientdet/recognise_efficientdet.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/settings.h"
#include "models/efficientdet/configurations.h"
#include "models/efficientdet/efficientdet_settings.h"
#include "models/recognition_parts.h"

namespace cytodet::models {
namespace {

constexpr int64_t kAnchors = 9;  // a cell: three octaves, three aspects
constexpr int kMinLevel = 3;

struct Heads {
  std::vector<const Port*> classes, boxes;  // the finest level first
};

bool is_named_box(const Port& p) { return p.name.find("box") != std::string::npos; }
bool is_named_class(const Port& p) {
  return p.name.find("class") != std::string::npos || p.name.find("cls") != std::string::npos;
}
bool gives_boxes(const Port& p) { return p.dim(3) == 4 * kAnchors && !is_named_class(p); }
bool gives_classes(const Port& p) { return p.dim(3) > 0 && p.dim(3) % kAnchors == 0 && !is_named_box(p); }

// A pair for each of 5 or 6 levels from 3 on, with ceil(side / 2^level) cells a side; empty where there are none.
Heads heads_of(const NetworkDescription& n, const ImportAnswers& a) {
  const InputSize size = size_of_input(n, a);
  Heads heads;
  if (!size.width) return heads;
  for (int level = kMinLevel; level <= kMinLevel + 5; ++level) {
    const int64_t stride = int64_t{1} << level, height = (size.height + stride - 1) / stride,
                  width = (size.width + stride - 1) / stride;
    std::vector<const Port*> boxes, classes;
    for (const Port& p : n.outputs) {
      if (!p.is_rank(4) || p.dim(1) != height || p.dim(2) != width) continue;
      if (gives_boxes(p) && (is_named_box(p) || !gives_classes(p) || p.dim(3) == 4 * kAnchors)) boxes.push_back(&p);
      if (gives_classes(p)) classes.push_back(&p);
    }
    // Four classes have as many channels as boxes have: names decide.
    if (boxes.size() > 1) std::erase_if(boxes, [](const Port* p) { return !is_named_box(*p); });
    if (boxes.size() == 1) std::erase(classes, boxes[0]);
    if (boxes.size() != 1 || classes.size() != 1) break;
    heads.boxes.push_back(boxes[0]);
    heads.classes.push_back(classes[0]);
  }
  if (heads.boxes.size() < 5) return {};
  for (const Port* p : heads.classes)
    if (p->dim(3) != heads.classes[0]->dim(3)) return {};
  return heads;
}

// Published networks of this size, levels and activation; their anchors.
std::vector<ModelFile> published(const InputSize& size, int max_level, bool lite) {
  std::vector<ModelFile> fit;
  for (const std::string& name : configuration_names()) {
    ModelFile c = configuration(name);
    if (c.input.width == size.width && c.input.height == size.height && efficientdet_settings(c).anchors.max_level == max_level &&
        (name.find("lite") != std::string::npos) == lite)
      fit.push_back(std::move(c));
  }
  return fit;
}

void find_anchors(const NetworkDescription& n, const ImportAnswers& a, int max_level, bool lite, Recognition& to) {
  Json& anchors = to.model["anchors"];
  anchors["min_level"] = kMinLevel;
  anchors["max_level"] = max_level;
  const std::vector<ModelFile> known = published(size_of_input(n, a), max_level, lite);
  std::set<double> scales;
  for (const ModelFile& c : known) scales.insert(efficientdet_settings(c).anchors.scale);
  if (a.anchor_scale) {
    anchors["scale"] = *a.anchor_scale;
    to.findings.push_back({"anchors of " + Json(*a.anchor_scale).dump() + " strides", "--anchor-scale"});
  } else if (scales.size() == 1) {
    anchors["scale"] = *scales.begin();
    to.findings.push_back(
        {"anchors of " + Json(*scales.begin()).dump() + " strides", "those of " + known.front().name + ", by its size"});
  } else {
    to.questions.push_back({"--anchor-scale S", scales.empty() ? "no published EfficientDet has this size and activation"
                                                               : "published EfficientDets of this size differ in it"});
  }
}

bool is_efficientdet(const NetworkDescription& n, const ImportAnswers& a) { return !heads_of(n, a).boxes.empty(); }

void describe_efficientdet(const NetworkDescription& n, const ImportAnswers& a, Recognition& to) {
  const Heads heads = heads_of(n, a);
  const bool lite = n.has_op("Relu6") && !n.has_op("Sigmoid");
  const int max_level = kMinLevel + static_cast<int>(heads.boxes.size()) - 1;
  for (const Port* p : heads.classes) to.model["class_logits"].push_back(p->name);
  for (const Port* p : heads.boxes) to.model["box_deltas"].push_back(p->name);
  to.findings.push_back({"heads " + heads.classes[0]->name + ", ... and " + heads.boxes[0]->name + ", ... of " +
                             std::to_string(heads.boxes.size()) + " levels",
                         "a pair for each level, 9 boxes in a cell"});
  find_input(n, a, to);
  find_anchors(n, a, max_level, lite, to);
  if (lite)
    set_pixels(
        {"a lite network, by its ReLU6", "RGB", 255, std::vector<double>(3, 127.0 / 255), std::vector<double>(3, 128.0 / 255)}, a,
        to);
  else
    set_pixels({"a network with swish; ImageNet's mean and deviation", "RGB", 255, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
               a, to);
  find_classes(n, a, heads.classes[0]->dim(3) / kAnchors, to);
}

}  // namespace

const Recogniser kRecogniseEfficientDet{"efficientdet",
                                        "EfficientDet of google/automl",
                                        "two outputs for each of 5 or 6 levels, of 9 x 4 and 9 x classes channels",
                                        false,
                                        is_efficientdet,
                                        describe_efficientdet};

}  // namespace cytodet::models
