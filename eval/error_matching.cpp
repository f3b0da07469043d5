#include "eval/error_matching.h"

#include <algorithm>
#include <numeric>

#include "core/box.h"
#include "core/parallel.h"

namespace cytodet::eval {
namespace {

Box box_at(const std::vector<double>& boxes, int32_t i) {
  const double* b = &boxes[static_cast<size_t>(i) * 4];
  return {b[0], b[1], b[0] + b[2], b[1] + b[3]};
}
double area_at(const std::vector<double>& boxes, int32_t i) {
  return boxes[static_cast<size_t>(i) * 4 + 2] * boxes[static_cast<size_t>(i) * 4 + 3];
}
int size_of(double area) { return area <= 32 * 32 ? 0 : area <= 96 * 96 ? 1 : 2; }

// The largest overlap of a kind; of equal ones that with the first ground truth box, as numpy's argmax.
struct Best {
  double iou = 0;
  int32_t truth = -1;
  void offer(double value, int32_t index) {
    if (value > iou || (value == iou && value > 0 && index < truth)) iou = value, truth = index;
  }
};

class ImageErrors {
 public:
  ImageErrors(const GroundTruth& truth, const DetectionSet& detections, const ErrorOptions& options)
      : truth_(truth), detections_(detections), options_(options) {}

  std::vector<Outcome> run(std::vector<int32_t> found, const std::vector<int32_t>& truths) {
    std::stable_sort(found.begin(), found.end(), [&](int32_t a, int32_t b) { return score(a) > score(b); });
    if (found.size() > static_cast<size_t>(options_.max_dets)) found.resize(static_cast<size_t>(options_.max_dets));
    for (int32_t t : truths)
      if (truth_.crowd[static_cast<size_t>(t)])
        crowds_.push_back(t);
      else
        by_x_.push_back({truth_.boxes[static_cast<size_t>(t) * 4], t, false, false});
    std::sort(by_x_.begin(), by_x_.end(),
              [](const Known& a, const Known& b) { return a.x0 != b.x0 ? a.x0 < b.x0 : a.index < b.index; });
    for (const Known& k : by_x_) widest_ = std::max(widest_, truth_.boxes[static_cast<size_t>(k.index) * 4 + 2]);
    std::vector<Outcome> out;
    for (int32_t d : found) out.push_back(matched(d));
    for (Outcome& o : out)
      if (!o.correct) classify(o);
    std::vector<int32_t> missed;
    for (const Known& k : by_x_)
      if (!k.used && !k.usable) missed.push_back(k.index);
    std::sort(missed.begin(), missed.end());
    for (int32_t t : missed) {
      Outcome o;
      o.truth = t;
      o.category = truth_.category[static_cast<size_t>(t)];
      o.kind = ErrorKind::miss;
      o.size = size_of(area_at(truth_.boxes, t));
      out.push_back(o);
    }
    return out;
  }

 private:
  struct Known {
    double x0;
    int32_t index;
    bool used, usable;  // matched; some error's fix would match it
  };
  double score(int32_t d) const { return detections_.scores[static_cast<size_t>(d)]; }

  // f(truth, iou, of the same class) for each that overlaps.
  template <class F>
  void each(int32_t d, F f) {
    const Box box = box_at(detections_.boxes, d);
    auto k = std::lower_bound(by_x_.begin(), by_x_.end(), box.x0 - widest_, [](const Known& a, double x) { return a.x0 < x; });
    for (; k != by_x_.end() && k->x0 < box.x1; ++k) {
      const double shared = intersection(box, box_at(truth_.boxes, k->index));
      if (shared <= 0) continue;
      const double both = area_at(detections_.boxes, d) + area_at(truth_.boxes, k->index) - shared;
      f(*k, shared / both, truth_.category[static_cast<size_t>(k->index)] == detections_.category[static_cast<size_t>(d)]);
    }
  }

  Outcome matched(int32_t d) {
    Outcome o;
    o.detection = d;
    o.category = detections_.category[static_cast<size_t>(d)];
    o.score = score(d);
    o.size = size_of(area_at(detections_.boxes, d));
    Best best;
    Known* match = nullptr;
    each(d, [&](Known& k, double iou, bool same) {
      if (!same || k.used) return;
      best.offer(iou, k.index);
      if (best.truth == k.index) match = &k;
    });
    if (match && best.iou >= options_.positive) {
      match->used = o.correct = true;
      o.truth = match->index;
      return o;
    }
    const Box box = box_at(detections_.boxes, d);
    for (int32_t c : crowds_)
      if (truth_.category[static_cast<size_t>(c)] == o.category) {
        const double shared = intersection(box, box_at(truth_.boxes, c));
        if (shared > 0 && shared / area_at(detections_.boxes, d) > options_.positive) o.ignored = true;
      }
    return o;
  }

  // tidecv's order of questions; boxes in crowds are asked as well.
  void classify(Outcome& o) {
    Best same, other, taken, any;
    Known *same_truth = nullptr, *other_truth = nullptr;
    each(o.detection, [&](Known& k, double iou, bool of_class) {
      any.offer(iou, k.index);
      (of_class ? same : other).offer(iou, k.index);
      if (same.truth == k.index) same_truth = &k;
      if (other.truth == k.index) other_truth = &k;
      if (of_class && k.used) taken.offer(iou, k.index);
    });
    if (same_truth && same.iou >= options_.background && same.iou <= options_.positive)
      aim(o, ErrorKind::loc, *same_truth);
    else if (other_truth && other.iou >= options_.positive)
      aim(o, ErrorKind::cls, *other_truth);
    else if (taken.truth >= 0 && taken.iou >= options_.positive)
      o.kind = ErrorKind::dupe;
    else
      o.kind = any.iou <= options_.background ? ErrorKind::bkg : ErrorKind::both;
  }

  // When repairing any of several errors would match one ground truth box, the best detection (the first that comes) has it.
  void aim(Outcome& o, ErrorKind kind, Known& k) {
    o.kind = kind;
    o.truth = k.index;
    o.truth_category = truth_.category[static_cast<size_t>(k.index)];
    o.size = size_of(area_at(truth_.boxes, k.index));
    o.fixable = !k.used && !k.usable;
    if (!k.used) k.usable = true;
  }

  const GroundTruth& truth_;
  const DetectionSet& detections_;
  const ErrorOptions& options_;
  std::vector<Known> by_x_;
  std::vector<int32_t> crowds_;
  double widest_ = 0;
};

std::vector<std::vector<int32_t>> by_image(const std::vector<int32_t>& image, size_t images) {
  std::vector<std::vector<int32_t>> lists(images);
  for (size_t i = 0; i < image.size(); ++i) lists[static_cast<size_t>(image[i])].push_back(static_cast<int32_t>(i));
  return lists;
}

}  // namespace

std::vector<Outcome> find_outcomes(const GroundTruth& truth, const DetectionSet& detections, const ErrorOptions& options) {
  const size_t images = truth.images.size();
  auto truths = by_image(truth.image, images), found = by_image(detections.image, images);
  std::vector<std::vector<Outcome>> parts(images);
  parallel_for(static_cast<int64_t>(images), options.threads, [&](int64_t i) {
    const auto k = static_cast<size_t>(i);
    parts[k] = ImageErrors(truth, detections, options).run(std::move(found[k]), truths[k]);
  });
  std::vector<Outcome> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace cytodet::eval
