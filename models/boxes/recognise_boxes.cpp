#include "models/boxes/recognise_boxes.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/settings.h"
#include "models/recognition_parts.h"

namespace cytodet::models {
namespace {

using Network = NetworkDescription;
using Answers = ImportAnswers;

const std::vector<int> kStrides = {8, 16, 32}, kStridesP6 = {8, 16, 32, 64};

bool has_metadata(const Network& n, const char* key) { return n.metadata.contains(key); }

// ---- one output of all boxes

// The only output, or the one beside the heads it is made of, [1, boxes of a cell, height, width, values], as YOLOv5 and v7
// export both.
const Port* joined_output(const Network& n) {
  const Port* found = nullptr;
  for (const Port& p : n.outputs)
    if (!p.is_rank(5)) {
      if (found) return nullptr;
      found = &p;
    }
  if (!found || !found->is_rank(3) || (found->dim(0) != 1 && found->dim(0) != -1)) return nullptr;
  const bool made_of_them =
      std::all_of(n.outputs.begin(), n.outputs.end(), [&](const Port& p) { return &p == found || p.dim(4) == found->dim(2); });
  return made_of_them ? found : nullptr;
}
const Port& joined(const Network& n) { return *joined_output(n); }

// Whether `boxes` is the number that grids over the input have, `per_cell` in each.
bool fills_grids(int64_t boxes, int64_t per_cell, const Network& n, const Answers& a) {
  const InputSize size = size_of_input(n, a);
  return size.width > 0 && boxes > 0 &&
         (boxes == per_cell * grid_cells(size, kStrides) || boxes == per_cell * grid_cells(size, kStridesP6));
}

void set_joined(const Network& n, Recognition& to) {
  to.model["family"] = "boxes";
  to.model["outputs"]["joined"] = joined(n).name;
  to.model["box_form"] = "cxcywh";
  to.model["suppressed"] = false;
}

// Boxes in grids cover the input, so the median of their centres is near its middle: 0.5 as a share, 16 or more in pixels.
void tell_box_unit(const Tensor& output, Recognition& to) {
  constexpr float kBetween = 4;
  if (output.dtype() != DType::f32 || output.rank() != 3) return;
  const bool rows = to.model.contains("objectness");
  const int64_t n = output.dim(rows ? 1 : 2), step = rows ? output.dim(2) : 1;
  std::vector<float> centres;
  for (int64_t i = 0; i < n; ++i)
    if (const float x = output.data<float>()[i * step]; std::isfinite(x)) centres.push_back(x);
  if (centres.empty()) return;
  const auto middle = centres.begin() + static_cast<std::ptrdiff_t>(centres.size() / 2);
  std::nth_element(centres.begin(), middle, centres.end());
  const bool share = *middle < kBetween;
  to.model["box_unit"] = share ? "share" : "pixels";
  to.findings.push_back({share ? "boxes as shares of the input" : "boxes in pixels", "what the network gives for a gray image"});
}

// Boxes that the graph decodes over grids: ultralytics' exports for TensorFlow Lite and YOLOv5's for TensorFlow divide them by
// the input's size, others do not.
void set_box_unit_of_grids(const Answers& a, Recognition& to) {
  to.model["box_unit"] = a.box_unit.empty() ? "pixels" : a.box_unit;
  if (a.box_unit.empty())
    to.look_at = tell_box_unit;
  else
    to.findings.push_back({"boxes in " + a.box_unit, "--box-unit"});
}

std::string boxes_text(const Network& n) { return "output " + joined(n).name + " " + to_string(joined(n).shape); }

const PixelRule kUltralytics{"how YOLO's exports are run", "RGB", 255, {0, 0, 0}, {1, 1, 1}, "center", 114};

bool is_yolov8(const Network& n, const Answers& a) {
  const Port* out = joined_output(n);
  return out && out->dim(1) >= 5 && fills_grids(out->dim(2), 1, n, a);
}
void describe_yolov8(const Network& n, const Answers& a, Recognition& to) {
  set_joined(n, to);
  set_box_unit_of_grids(a, to);
  to.findings.push_back({boxes_text(n) + ": 4 values and " + std::to_string(joined(n).dim(1) - 4) + " scores in columns",
                         "a box for each cell of the grids of strides 8, 16, 32"});
  find_input(n, a, to);
  set_pixels(kUltralytics, a, to);
  find_classes(n, a, joined(n).dim(1) - 4, to);
}

bool is_yolov5(const Network& n, const Answers& a) {
  const Port* out = joined_output(n);
  return out && out->dim(2) >= 6 && fills_grids(out->dim(1), 3, n, a);
}
void describe_rows_with_objectness(const Network& n, const Answers& a, Recognition& to) {
  set_joined(n, to);
  to.model["objectness"] = true;
  find_input(n, a, to);
  find_classes(n, a, joined(n).dim(2) - 5, to);
}
void describe_decoded_rows(const char* why, const Network& n, const Answers& a, Recognition& to) {
  to.findings.push_back({boxes_text(n) + ": 4 values, objectness and scores in rows", why});
  describe_rows_with_objectness(n, a, to);
  set_box_unit_of_grids(a, to);
  set_pixels(kUltralytics, a, to);
}
void describe_yolov5(const Network& n, const Answers& a, Recognition& to) {
  describe_decoded_rows("three boxes for each cell of the grids", n, a, to);
}

// One row of at least 6 numbers for each cell.
bool is_yolox(const Network& n, const Answers& a) {
  const Port* out = joined_output(n);
  return out && out->dim(2) >= 6 && fills_grids(out->dim(1), 1, n, a);
}
void describe_yolox(const Network& n, const Answers& a, Recognition& to) {
  to.findings.push_back({boxes_text(n) + ": 4 values, objectness and scores in rows", "one box for each cell of the grids"});
  describe_rows_with_objectness(n, a, to);
  if (n.has_op("Exp")) {
    to.findings.push_back({"boxes decoded", "the graph computes the exponentials of widths and heights"});
    set_box_unit_of_grids(a, to);
  } else {
    if (const InputSize size = size_of_input(n, a); joined(n).dim(1) != grid_cells(size, kStrides))
      throw Error(boxes_text(n), "holds boxes relative to the cells of grids of strides 8 to 64; those of 8, 16 and 32 are known",
                  "export the network with its boxes decoded (--decode_in_inference), or say --family yolov6 if they are");
    to.model["box_unit"] = "pixels";
    to.model["grid"] = "yolox";
    to.findings.push_back({"boxes relative to their cells", "the graph computes no exponentials of widths and heights"});
  }
  set_pixels({"how YOLOX is run", "BGR", 1, {0, 0, 0}, {1, 1, 1}, "top_left", 114}, a, to);
}

bool is_yolov6(const Network& n, const Answers& a) { return is_yolox(n, a) && !n.has_op("Exp"); }
void describe_yolov6(const Network& n, const Answers& a, Recognition& to) {
  describe_decoded_rows("one box for each cell of the grids", n, a, to);
}

// Suppression, or a choice of the best, inside the graph: rows of two corners, score and class.
bool is_yolo_end_to_end(const Network& n, const Answers& a) {
  const Port* out = joined_output(n);
  return out && out->dim(2) == 6 && out->dim(1) > 0 && out->dim(1) <= 2000 && !fills_grids(out->dim(1), 1, n, a) &&
         !fills_grids(out->dim(1), 3, n, a);
}
void describe_yolo_end_to_end(const Network& n, const Answers& a, Recognition& to) {
  set_joined(n, to);
  to.model["joined_form"] = "score_and_class";
  to.model["box_form"] = "xyxy";
  to.model["class_numbers"] = "channels";
  to.model["suppressed"] = true;
  to.findings.push_back({boxes_text(n) + ": two corners, score and class in rows", "a row for each box that is left"});
  set_box_unit_of_grids(a, to);
  to.look_at = nullptr;  // what is found in a gray image says nothing
  find_input(n, a, to);
  set_pixels(kUltralytics, a, to);
  find_classes(n, a, -1, to);
}

// The form of YOLOv7's --end2end: [n, 7].
bool is_yolov7_end_to_end(const Network& n, const Answers&) {
  return n.outputs.size() == 1 && n.outputs[0].is_rank(2) && n.outputs[0].dim(1) == 7;
}
void describe_yolov7_end_to_end(const Network& n, const Answers& a, Recognition& to) {
  const Port& out = n.outputs[0];
  to.model = {{"family", "boxes"},
              {"outputs", {{"joined", out.name}}},
              {"joined_form", "image_class_score"},
              {"box_form", "xyxy"},
              {"class_numbers", "channels"},
              {"suppressed", true},
              {"box_unit", a.box_unit.empty() ? "pixels" : a.box_unit}};
  to.findings.push_back(
      {"output " + out.name + " " + to_string(out.shape) + ": number of the image, two corners, class and score",
       "a row of 7 for each box that is left"});
  find_input(n, a, to);
  set_pixels(kUltralytics, a, to);
  find_classes(n, a, -1, to);
}

// ---- queries

bool is_rtdetr_joined(const Network& n, const Answers& a) {
  const Port* out = joined_output(n);
  const int classes = known_class_count(n, a);
  return out && classes > 0 && out->dim(2) == 4 + classes && out->dim(1) > 0 && out->dim(1) <= 1000 && has_metadata(n, "names") &&
         !fills_grids(out->dim(1), 1, n, a);
}
void describe_rtdetr_joined(const Network& n, const Answers& a, Recognition& to) {
  set_joined(n, to);
  to.model["box_unit"] = "share";
  to.model["suppression"]["iou"] = 1.0;
  to.findings.push_back(
      {boxes_text(n) + ": 4 values and scores in rows", "a row for each query, and the classes of the metadata"});
  find_input(n, a, to);
  set_pixels({"how ultralytics runs RT-DETR", "RGB", 255, {0, 0, 0}, {1, 1, 1}, "stretch"}, a, to);
  find_classes(n, a, joined(n).dim(2) - 4, to);
}

struct Queries {
  const Port *boxes = nullptr, *logits = nullptr;
};
constexpr int64_t kMaxQueries = 2000;
// [1, n, 4] and [1, n, classes].
Queries boxes_and_scores(const Network& n) {
  if (n.outputs.size() != 2 || !n.outputs[0].is_rank(3) || !n.outputs[1].is_rank(3)) return {};
  const Port *a = &n.outputs[0], *b = &n.outputs[1];
  if (a->dim(1) != b->dim(1)) return {};
  const auto named_boxes = [](const Port* p) { return p->name.find("box") != std::string::npos; };
  if (a->dim(2) == 4 && (b->dim(2) != 4 || named_boxes(a))) return {a, b};
  if (b->dim(2) == 4) return {b, a};
  return {};
}
Queries queries_of(const Network& n) {
  const Queries q = boxes_and_scores(n);
  return q.boxes && q.boxes->dim(1) <= kMaxQueries ? q : Queries{};
}
// A class more than there are names is the one of "no object".
bool is_detr(const Network& n, const Answers& a) {
  const Queries q = queries_of(n);
  const int known = known_class_count(n, a);
  return q.boxes && (known == 0 || q.logits->dim(2) == known + 1);
}
bool is_rtdetr(const Network& n, const Answers& a) {
  const Queries q = queries_of(n);
  const int known = known_class_count(n, a);
  return q.boxes && (known == 0 || q.logits->dim(2) == known);
}
void set_queries(const Network& n, Recognition& to) {
  const Queries q = queries_of(n);
  to.model["family"] = "boxes";
  to.model["outputs"]["boxes"] = q.boxes->name;
  to.model["outputs"]["scores"] = q.logits->name;
  to.model["box_form"] = "cxcywh";
  to.model["box_unit"] = "share";
  to.model["suppressed"] = false;
  to.model["suppression"]["iou"] = 1.0;
  to.findings.push_back({"boxes " + q.boxes->name + " " + to_string(q.boxes->shape) + ", logits " + q.logits->name + " " +
                             to_string(q.logits->shape),
                         "as many rows in both"});
}
void describe_detr(const Network& n, const Answers& a, Recognition& to) {
  set_queries(n, to);
  to.model["score_form"] = "softmax";
  to.model["background"] = "last";
  find_input(n, a, to);
  set_pixels({"how DETR is trained, by ImageNet's mean and deviation", "RGB", 255, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
             a, to);
  find_classes(n, a, queries_of(n).logits->dim(2) - 1, to);
}
void describe_rtdetr(const Network& n, const Answers& a, Recognition& to) {
  set_queries(n, to);
  to.model["score_form"] = "sigmoid";
  find_input(n, a, to);
  set_pixels({"how RT-DETR is trained", "RGB", 255, {0, 0, 0}, {1, 1, 1}, "stretch"}, a, to);
  find_classes(n, a, queries_of(n).logits->dim(2), to);
}

// ---- boxes, scores and classes after suppression

struct Apart {
  const Port *boxes = nullptr, *scores = nullptr, *classes = nullptr, *count = nullptr;
  bool complete() const { return boxes && scores && classes && boxes != scores && scores != classes && boxes != classes; }
};
void set_apart(const Apart& o, Recognition& to) {
  to.model["family"] = "boxes";
  Json& outputs = to.model["outputs"];
  outputs["boxes"] = o.boxes->name;
  outputs["scores"] = o.scores->name;
  outputs["classes"] = o.classes->name;
  if (o.count) outputs["count"] = o.count->name;
  to.findings.push_back({"boxes " + o.boxes->name + ", scores " + o.scores->name + ", classes " + o.classes->name +
                             (o.count ? ", count " + o.count->name : ""),
                         "the outputs' names and shapes"});
}

Apart detection_outputs(const Network& n) {
  return {output_with(n, {"detection_boxes"}, true), output_with(n, {"detection_scores"}, true),
          output_with(n, {"detection_classes"}, true), output_with(n, {"num_detections"}, true)};
}
bool is_object_detection(const Network& n, const Answers&) { return !n.lite && detection_outputs(n).complete(); }
void describe_object_detection(const Network& n, const Answers& a, Recognition& to) {
  set_apart(detection_outputs(n), to);
  find_input(n, a, to);
  set_pixels({"exports of the object-detection API normalise pixels themselves", "RGB", 1}, a, to);
  find_classes(n, a, -1, to);
}

// The outputs of TensorFlow Lite's operator, by the names that the converters give them.
Apart lite_outputs(const Network& n) {
  if (const Apart named = detection_outputs(n); named.complete()) return named;
  const std::string op = "tflite_detection_postprocess";
  return {output_with(n, {op}, true), output_with(n, {op + "_2"}, true), output_with(n, {op + "_1"}, true),
          output_with(n, {op + "_3"}, true)};
}
bool is_lite_detection(const Network& n, const Answers&) { return n.lite && lite_outputs(n).complete(); }
void describe_lite_detection(const Network& n, const Answers& a, Recognition& to) {
  set_apart(lite_outputs(n), to);
  to.model["class_numbers"] = "channels";
  to.findings.push_back({"boxes y0, x0, y1, x1 as shares; classes from 0", "what the operator gives"});
  find_input(n, a, to);
  const bool bytes = std::any_of(n.inputs.begin(), n.inputs.end(), [](const Port& p) { return p.dtype == DType::u8; });
  if (bytes)
    set_pixels({"the input takes bytes", "RGB", 1}, a, to);
  else
    set_stated_pixels(a, to);
  find_classes(n, a, -1, to);
}

bool is_integer_port(const Port& p) { return p.dtype == DType::i64 || p.dtype == DType::i32; }
// Boxes [n, 4] and scores [n] of floats, labels [n] of integers; suppression inside.
Apart torchvision_outputs(const Network& n) {
  Apart o;
  if (n.outputs.size() != 3 ||
      !(n.has_op("NonMaxSuppressionV3") || n.has_op("NonMaxSuppressionV2") || n.has_op("NonMaxSuppressionV4") ||
        n.has_op("NonMaxSuppressionV5") || n.has_op("NonMaxSuppression")))
    return o;
  for (const Port& p : n.outputs) {
    if (is_integer_port(p))
      o.classes = &p;
    else if (p.known_rank && p.shape.size() == 2 && (p.dim(1) == 4 || p.dim(1) == -1))
      o.boxes = &p;
    else
      o.scores = &p;
  }
  if (o.boxes && o.boxes->dim(1) != 4 && node_word(o.boxes->name).find("box") == std::string::npos) o.boxes = nullptr;
  return o;
}
bool is_torchvision(const Network& n, const Answers&) { return torchvision_outputs(n).complete(); }
void describe_torchvision(const Network& n, const Answers& a, Recognition& to) {
  set_apart(torchvision_outputs(n), to);
  to.model["box_form"] = "xyxy";
  to.model["box_unit"] = "pixels";
  find_input(n, a, to);
  set_pixels({"torchvision's detectors normalise inside", "RGB"}, a, to);
  find_classes(n, a, -1, to);
  if (!a.class_numbers.empty()) {
    to.model["class_numbers"] = a.class_numbers;
    to.findings.push_back(
        {a.class_numbers == "channels" ? "labels count classes from 0" : "labels are category ids", "--class-numbers"});
  } else if (a.category_ids.empty()) {
    to.findings.push_back({"labels are category ids, from 1", "torchvision's label 0 is the background"});
  }
}

// Two corners and a score [1, n, 5], classes [1, n] of integers.
struct Rows {
  const Port *boxes = nullptr, *classes = nullptr;
};
Rows mmdetection_outputs(const Network& n) {
  if (n.outputs.size() != 2) return {};
  const size_t first = is_integer_port(n.outputs[0]);
  const Port &boxes = n.outputs[first], &classes = n.outputs[1 - first];
  const bool fits = is_integer_port(classes) && !is_integer_port(boxes) && (!classes.known_rank || classes.is_rank(2)) &&
                    (boxes.is_rank(3) ? boxes.dim(2) == 5 || (boxes.dim(2) == -1 && node_word(boxes.name) == "dets")
                                      : !boxes.known_rank && node_word(boxes.name) == "dets");
  return fits ? Rows{&boxes, &classes} : Rows{};
}
bool is_mmdetection(const Network& n, const Answers&) { return mmdetection_outputs(n).boxes; }
void describe_mmdetection(const Network& n, const Answers& a, Recognition& to) {
  const Rows o = mmdetection_outputs(n);
  to.model = {{"family", "boxes"},      {"outputs", {{"joined", o.boxes->name}, {"classes", o.classes->name}}},
              {"joined_form", "score"}, {"box_form", "xyxy"},
              {"box_unit", "pixels"},   {"class_numbers", "channels"},
              {"suppressed", true}};
  to.findings.push_back(
      {"boxes " + o.boxes->name + " " + to_string(o.boxes->shape) + ": two corners and score in rows; classes " + o.classes->name,
       "as many rows in both, the classes integers"});
  find_input(n, a, to);
  set_stated_pixels(a, to);
  find_classes(n, a, -1, to);
}

// The last step of RT-DETR, D-FINE and their like inside: boxes in pixels of the sizes that a second input states.
Apart deployed_rtdetr_outputs(const Network& n) {
  if (n.outputs.size() != 3 || !size_input(n)) return {};
  const Apart o{output_with(n, {"boxes"}, true), output_with(n, {"scores"}, true), output_with(n, {"labels"}, true), nullptr};
  return o.complete() && is_integer_port(*o.classes) ? o : Apart{};
}
bool is_deployed_rtdetr(const Network& n, const Answers&) { return deployed_rtdetr_outputs(n).complete(); }
void describe_deployed_rtdetr(const Network& n, const Answers& a, Recognition& to) {
  set_apart(deployed_rtdetr_outputs(n), to);
  to.model["box_form"] = "xyxy";
  to.model["box_unit"] = "pixels";
  to.model["class_numbers"] = "channels";
  find_input(n, a, to);
  set_pixels({"how RT-DETR is trained", "RGB", 255, {0, 0, 0}, {1, 1, 1}, "stretch"}, a, to);
  find_classes(n, a, -1, to);
}

// Boxes [1, n, 4] and scores [1, n, classes + 1] of all priors: SSD whose suppression is left to others.
Queries priors_of(const Network& n) {
  const Queries q = boxes_and_scores(n);
  return q.boxes && q.boxes->dim(1) > kMaxQueries && q.logits->dim(2) >= 2 ? q : Queries{};
}
// Sigmoids without a Softmax may be those of the scores, as RetinaNet's, which have no class of no object: only where it is
// named.
bool is_ssd(const Network& n, const Answers& a) {
  return priors_of(n).boxes && (n.has_op("Softmax") || !n.has_op("Sigmoid") || a.family == "ssd");
}
void describe_ssd(const Network& n, const Answers& a, Recognition& to) {
  const Queries q = priors_of(n);
  const bool normalised = n.has_op("Softmax");
  to.model = {{"family", "boxes"},
              {"outputs", {{"boxes", q.boxes->name}, {"scores", q.logits->name}}},
              {"score_form", normalised ? "probability" : "softmax"},
              {"background", "first"},
              {"suppressed", false}};
  to.findings.push_back({"boxes " + q.boxes->name + " " + to_string(q.boxes->shape) + ", scores " + q.logits->name + " " +
                             to_string(q.logits->shape) + ", the first of no object",
                         "as many rows in both, more than queries are"});
  to.findings.push_back({normalised ? "scores are probabilities" : "scores are logits",
                         normalised ? "the graph's Softmax" : "the graph has no Softmax"});
  find_input(n, a, to);
  if (a.box_form.empty())
    to.questions.push_back({"--box-form yxyx|xyxy|xywh|cxcywh", "the order of a box's values is not in the file"});
  if (a.box_unit.empty()) to.questions.push_back({"--box-unit share|pixels", "nor what they are in"});
  for (const auto& [key, value] : {std::pair{"box_form", &a.box_form}, {"box_unit", &a.box_unit}})
    if (!value->empty()) to.model[key] = *value;
  set_stated_pixels(a, to);
  find_classes(n, a, q.logits->dim(2) - 1, to);
}

Apart named_outputs(const Network& n) {
  return {output_with(n, {"box"}, false), output_with(n, {"score", "conf", "prob"}, false),
          output_with(n, {"class", "label"}, false), output_with(n, {"num", "count"}, false)};
}
bool is_named(const Network& n, const Answers&) {
  const Apart o = named_outputs(n);
  return o.complete() && (!o.boxes->known_rank || o.boxes->dim(-1) == 4 || o.boxes->dim(-1) == -1);
}
void describe_named(const Network& n, const Answers& a, Recognition& to) {
  set_apart(named_outputs(n), to);
  find_input(n, a, to);
  if (a.box_form.empty())
    to.questions.push_back({"--box-form yxyx|xyxy|xywh|cxcywh", "the order of a box's values is not in the file"});
  if (a.box_unit.empty()) to.questions.push_back({"--box-unit share|pixels", "nor what they are in"});
  if (a.class_numbers.empty())
    to.questions.push_back({"--class-numbers category_ids|channels", "nor whether classes count from 0 in the list of names"});
  set_stated_pixels(a, to);
  for (const auto& [key, value] :
       {std::pair{"box_form", &a.box_form}, {"box_unit", &a.box_unit}, {"class_numbers", &a.class_numbers}})
    if (!value->empty()) to.model[key] = *value;
  find_classes(n, a, -1, to);
}

}  // namespace

std::vector<Recogniser> box_recognisers() {
  return {
      {"yolov8", "YOLOv8, v9, v11 of ultralytics", "one output [1, 4 + classes, boxes], a box for each cell of the grids", false,
       is_yolov8, describe_yolov8},
      {"yolov5", "YOLOv5, YOLOv7", "one output [1, boxes, 5 + classes], three boxes for each cell of the grids", false, is_yolov5,
       describe_yolov5},
      {"yolox", "YOLOX", "one output [1, boxes, 5 + classes], one box for each cell of the grids", false, is_yolox,
       describe_yolox},
      {"yolov6", "YOLOv6", "as yolox, without exponentials in the graph", false, is_yolov6, describe_yolov6},
      {"yolo_end_to_end", "YOLOv10, and YOLO exported with its suppression",
       "one output [1, boxes, 6] of corners, score and class, fewer boxes than the grids have cells", false, is_yolo_end_to_end,
       describe_yolo_end_to_end},
      {"yolov7_end_to_end", "YOLOv7 exported with its suppression (--end2end)",
       "one output [boxes, 7]: number of the image, corners, class, score", false, is_yolov7_end_to_end,
       describe_yolov7_end_to_end},
      {"rtdetr_joined", "RT-DETR of ultralytics", "one output [1, queries, 4 + classes], the classes in the metadata", false,
       is_rtdetr_joined, describe_rtdetr_joined},
      {"detr", "DETR and its like", "two outputs [1, queries, 4] and [1, queries, classes + 1]", false, is_detr, describe_detr},
      {"rtdetr", "RT-DETR", "two outputs [1, queries, 4] and [1, queries, classes]", false, is_rtdetr, describe_rtdetr},
      {"rtdetr_deployed", "RT-DETR, D-FINE and their like exported with their last step",
       "outputs labels, boxes and scores, and a second input of two integers with size in its name", false, is_deployed_rtdetr,
       describe_deployed_rtdetr},
      {"ssd", "SSD without its suppression",
       "two outputs [1, n, 4] and [1, n, classes + 1], more than 2000 rows; a Softmax, or no Sigmoid", false, is_ssd,
       describe_ssd},
      {"mmdetection", "detectors of MMDetection, exported by MMDeploy",
       "two outputs: [1, n, 5] of corners and score, [1, n] of integers", false, is_mmdetection, describe_mmdetection},
      {"object_detection", "SSD, Faster R-CNN, ... of TensorFlow's object-detection API",
       "outputs detection_boxes, detection_scores, detection_classes", false, is_object_detection, describe_object_detection},
      {"tflite_detection", "SSD and others of TensorFlow Lite",
       "a TensorFlow Lite model with the outputs of TFLite_Detection_PostProcess, by their names", false, is_lite_detection,
       describe_lite_detection},
      {"torchvision", "RetinaNet, FCOS, Faster R-CNN, SSD of torchvision",
       "three outputs: boxes [n, 4], scores [n], labels [n] of integers; suppression in the graph", false, is_torchvision,
       describe_torchvision},
      {"boxes", "a network that gives boxes, scores and classes", "outputs with these words in their names", true, is_named,
       describe_named},
  };
}

}  // namespace cytodet::models
