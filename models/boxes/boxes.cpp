#include "models/boxes/boxes.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/settings.h"
#include "models/boxes/box_settings.h"
#include "models/common/scores.h"
#include "models/detection_model.h"

namespace cytodet::models {
namespace {

constexpr const char* kBoxAdvice = "check outputs, classes and background in the model file";

// Values of n boxes within a tensor: value k of box i is at[i * box_step + k * step].
struct BoxValues {
  const float* at;
  int64_t box_step, step;
  float operator()(int64_t i, int64_t k) const { return at[i * box_step + k * step]; }
};

// Boxes [1, n, 4], scores [1, n] with classes [1, n], or scores [1, n, classes], or all in one tensor. Scores above the least one
// become detections, clipped to the image; then the network's own suppression is trusted, or boxes of a class are suppressed.
class BoxNetwork : public DetectionModel {
 public:
  explicit BoxNetwork(ModelFile model) : DetectionModel(std::move(model)), own_(box_settings(file())) {
    for (int c = 0; c < file().class_count(); ++c) channel_of_id_.emplace(file().category_id(c), c);
    if (own_.grid == Grid::yolox)
      for (const int stride : {8, 16, 32})
        for (int row = 0; row < input().height / stride; ++row)
          for (int column = 0; column < input().width / stride; ++column)
            cells_.push_back({static_cast<double>(column), static_cast<double>(row), static_cast<double>(stride)});
  }

  std::vector<std::string> outputs() const override {
    const BoxOutputs& o = own_.outputs;
    std::vector<std::string> nodes{o.joined};
    if (o.joined.empty()) nodes = {o.boxes, o.scores};
    for (const std::string& name : {o.classes, o.count})
      if (!name.empty()) nodes.push_back(name);
    return nodes;
  }

  void check_outputs(std::span<const OutputSpec> compiled) const override {
    for (size_t i = 0; i < compiled.size(); ++i) {
      const OutputSpec& out = compiled[i];
      const size_t values = own_.outputs.joined.empty() ? 2 : 1;  // then classes and their count
      if (out.dtype != DType::f32 && (i < values || !is_number(out.dtype)))
        throw Error("output " + out.name, "is " + name_of(out.dtype) + ", but float values are expected", kBoxAdvice);
      if (!own_.outputs.joined.empty() && i == 0)
        check_joined(out);
      else if (own_.outputs.joined.empty())
        check_last(out, i == 0 ? 4 : i == 1 && scores_per_box() != 1 ? scores_per_box() : 0);
    }
  }

 protected:
  Detections decode_square(std::span<const Tensor* const> outputs, double scale, double width, double height) const override {
    const Frame frame{scale, width, height};
    std::vector<Detections> by_class(static_cast<size_t>(file().class_count()));
    if (!own_.outputs.joined.empty())
      add_joined(outputs, frame, by_class);
    else
      add_apart(outputs, frame, by_class);
    return own_.suppressed ? best_of_classes(by_class, file().suppression.detections)
                           : suppress_by_class(std::move(by_class), file().suppression);
  }

 private:
  struct Frame {
    double scale, width, height;  // input pixels per source pixel; size in source pixels
  };

  static bool is_number(DType t) { return t == DType::i32 || t == DType::i64 || t == DType::u8 || t == DType::f64; }

  // The places of the values in a row of `joined` with one score; class -1: the class is in another output.
  struct Row {
    int64_t box, score, class_at, width;
  };
  Row row() const {
    if (own_.joined_form == JoinedForm::image_class_score) return {1, 6, 5, 7};
    return own_.joined_form == JoinedForm::score ? Row{0, 4, -1, 5} : Row{0, 4, 5, 6};
  }
  bool scores_one() const { return own_.joined_form != JoinedForm::scores; }
  int64_t scores_per_box() const {
    return own_.outputs.classes.empty() ? file().class_count() + (own_.background != Background::none) : 1;
  }
  int64_t joined_width() const { return scores_one() ? row().width : 4 + own_.objectness + scores_per_box(); }
  float min_score() const { return static_cast<float>(file().suppression.score); }

  static void check_last(const OutputSpec& out, int64_t wanted) {
    const int64_t found = out.shape.empty() ? -1 : out.shape.back();
    if (wanted && found >= 0 && found != wanted)
      throw Error("output " + out.name,
                  "is " + to_string(out.shape) + ", but its last dimension must be " + std::to_string(wanted), kBoxAdvice);
  }
  void check_joined(const OutputSpec& out) const {
    if (out.shape.size() == 3 &&
        std::none_of(out.shape.begin() + 1, out.shape.end(), [&](int64_t d) { return d < 0 || d == joined_width(); }))
      throw Error("output " + out.name,
                  "is " + to_string(out.shape) + ", but one of its dimensions must be " + std::to_string(joined_width()),
                  kBoxAdvice);
  }

  void add_joined(std::span<const Tensor* const> outputs, const Frame& frame, std::vector<Detections>& by_class) const {
    const Tensor& t = *outputs[0];
    const int64_t width = joined_width(), n = t.size() / width;
    const bool rows = t.rank() >= 2 && t.dim(-1) == width, columns = t.rank() >= 2 && t.dim(-2) == width;
    if ((!rows && !columns) || n * width != t.size() || (t.rank() == 3 && t.dim(0) != 1) || t.rank() > 3)
      throw Error(
          "output " + own_.outputs.joined,
          "has shape " + to_string(t.shape()) + ", but [1, n, " + std::to_string(width) + "] is expected, or the other way",
          kBoxAdvice);
    if (!cells_.empty() && n != static_cast<int64_t>(cells_.size()))
      throw Error("output " + own_.outputs.joined,
                  "has " + std::to_string(n) + " boxes, but grids of strides 8, 16 and 32 have " + std::to_string(cells_.size()),
                  kBoxAdvice);
    const BoxValues all{t.data<float>(), rows ? width : 1, rows ? 1 : n};
    if (scores_one()) return add_rows(n, all, outputs.size() > 1 ? outputs[1] : nullptr, frame, by_class);
    BoxValues scores = all;
    scores.at += (4 + own_.objectness) * all.step;
    add_scores_per_class(n, all, scores, frame, by_class);
  }

  // Rows with the score of one class. `classes`: of all rows, where they do not hold them.
  void add_rows(int64_t n, const BoxValues& rows, const Tensor* classes, const Frame& frame,
                std::vector<Detections>& by_class) const {
    const Row at = row();
    if (classes && classes->size() != n)
      throw Error("output " + own_.outputs.classes,
                  "has shape " + to_string(classes->shape()) + " for " + std::to_string(n) + " boxes", kBoxAdvice);
    BoxValues boxes = rows;
    boxes.at += at.box * rows.step;
    for (int64_t i = 0; i < n; ++i)
      if (const float score = score_of(own_.score_form, rows(i, at.score)); score > min_score())
        add(class_of(classes ? classes->as_double(i) : rows(i, at.class_at)), score, boxes, i, frame, by_class);
  }

  void add_apart(std::span<const Tensor* const> outputs, const Frame& frame, std::vector<Detections>& by_class) const {
    const Tensor &boxes = *outputs[0], &scores = *outputs[1];
    const Tensor* classes = own_.outputs.classes.empty() ? nullptr : outputs[2];
    const int64_t n = boxes.size() / 4, given = count_of(outputs, n), per_box = scores_per_box();
    if (boxes.size() % 4 != 0 || scores.size() != n * per_box || (classes && classes->size() != n))
      throw Error("output " + own_.outputs.scores,
                  "has shape " + to_string(scores.shape()) + (classes ? ", the classes " + to_string(classes->shape()) : "") +
                      ", which do not fit boxes of shape " + to_string(boxes.shape()),
                  kBoxAdvice);
    const BoxValues corners{boxes.data<float>(), 4, 1}, values{scores.data<float>(), per_box, 1};
    if (!classes) return add_scores_per_class(given, corners, values, frame, by_class);
    for (int64_t i = 0; i < given; ++i)
      if (const float score = score_of(own_.score_form, values(i, 0));
          score > min_score())  // what pads the rest may name no class
        add(class_of(classes->as_double(i)), score, corners, i, frame, by_class);
  }

  // Boxes with a score for each class: each score above the minimum becomes a detection. Most scores of a dense head are far
  // below it, so that few sigmoids are computed.
  void add_scores_per_class(int64_t n, const BoxValues& boxes, const BoxValues& scores, const Frame& frame,
                            std::vector<Detections>& by_class) const {
    const float threshold = min_value(own_.score_form, file().suppression.score);
    std::vector<float> values(static_cast<size_t>(scores_per_box()));
    const size_t first = own_.background == Background::first;
    for (int64_t i = 0; i < n; ++i) {
      const float object = own_.objectness ? boxes(i, 4) : 1;
      if (!(object > min_score())) continue;
      for (size_t k = 0; k < values.size(); ++k) values[k] = scores(i, static_cast<int64_t>(k));
      if (own_.score_form == ScoreForm::softmax) softmax(values);
      for (int c = 0; c < file().class_count(); ++c)
        if (const float value = values[first + static_cast<size_t>(c)]; value > threshold)
          add(c, score_of(own_.score_form, value) * object, boxes, i, frame, by_class);
    }
  }

  // A detection, if its score is above the least one and its box not empty.
  void add(int c, float score, const BoxValues& boxes, int64_t i, const Frame& frame, std::vector<Detections>& by_class) const {
    if (!(score > min_score())) return;
    const Box box = box_of(boxes, i, frame);
    if (box.width() > 0 && box.height() > 0) by_class[static_cast<size_t>(c)].push_back({box, c, score});
  }

  // How many boxes of n count.
  int64_t count_of(std::span<const Tensor* const> outputs, int64_t n) const {
    if (own_.outputs.count.empty()) return n;
    const Tensor& t = *outputs.back();
    const double count = t.size() == 1 ? t.as_double(0) : -1;
    if (!(count >= 0 && count <= static_cast<double>(n)))
      throw Error("output " + own_.outputs.count,
                  "must be one number of 0 to " + std::to_string(n) + " boxes, and has shape " + to_string(t.shape()),
                  kBoxAdvice);
    return static_cast<int64_t>(count);
  }

  // What to do about a class that is not known: what are.
  std::string known_classes() const {
    const int n = file().class_count(), first = file().category_id(0);
    if (own_.class_numbers == ClassNumbers::channels)
      return "numbers of classes are places in the list of " + std::to_string(n) + " names, 0 to " + std::to_string(n - 1) +
             ": complete classes (import: --classes)";
    return "category ids " + std::to_string(first) + (n > 1 ? " to " + std::to_string(file().category_id(n - 1)) : "") +
           " are known: complete classes and category_ids (import: --classes, --category-ids), or count places from 0 "
           "(--class-numbers channels)";
  }

  int class_of(double number) const {
    const auto id = static_cast<int>(std::clamp(std::nearbyint(number), -1e9, 1e9));
    if (own_.class_numbers == ClassNumbers::channels) {
      if (id >= 0 && id < file().class_count()) return id;
    } else if (const auto found = channel_of_id_.find(id); found != channel_of_id_.end()) {
      return found->second;
    }
    throw Error("output " + (own_.outputs.classes.empty() ? own_.outputs.joined : own_.outputs.classes),
                "gives class " + std::to_string(id) + ", which the model file does not know", known_classes());
  }

  // In pixels of the source.
  Box box_of(const BoxValues& v, int64_t i, const Frame& frame) const {
    const bool y_first = own_.format == BoxFormat::yxyx;
    double x0 = v(i, y_first ? 1 : 0), y0 = v(i, y_first ? 0 : 1), x1 = v(i, y_first ? 3 : 2), y1 = v(i, y_first ? 2 : 3);
    if (!cells_.empty()) {
      const Cell& cell = cells_[static_cast<size_t>(i)];
      x0 = (x0 + cell.column) * cell.stride;
      y0 = (y0 + cell.row) * cell.stride;
      x1 = std::exp(x1) * cell.stride;
      y1 = std::exp(y1) * cell.stride;
    }
    if (own_.format == BoxFormat::cxcywh) {
      x0 -= x1 / 2;
      y0 -= y1 / 2;
    }
    if (own_.format == BoxFormat::cxcywh || own_.format == BoxFormat::xywh) {
      x1 += x0;
      y1 += y0;
    }
    const bool share = own_.unit == BoxUnit::share;
    const double fx = (share ? input().width : 1) / frame.scale, fy = (share ? input().height : 1) / frame.scale;
    return {std::clamp(x0 * fx, 0.0, frame.width), std::clamp(y0 * fy, 0.0, frame.height), std::clamp(x1 * fx, 0.0, frame.width),
            std::clamp(y1 * fy, 0.0, frame.height)};
  }

  struct Cell {
    double column, row, stride;
  };

  const BoxSettings& own_;
  std::map<int, int> channel_of_id_;
  std::vector<Cell> cells_;  // of each box, where they are relative to one
};

}  // namespace

constinit const ModelFamily kBoxes = {
    .name = "boxes",
    .recognises = [](const Json& j) { return j.contains("outputs") && j["outputs"].is_object(); },
    .settings = []() -> std::unique_ptr<FamilySettings> { return std::make_unique<BoxSettings>(); },
    .check = check_boxes,
    .make = [](ModelFile m) -> std::shared_ptr<const NetworkModel> { return std::make_shared<BoxNetwork>(std::move(m)); },
};

}  // namespace cytodet::models
