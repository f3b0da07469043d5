#include "eval/comparison.h"

#include <algorithm>
#include <cstdio>

#include "core/settings.h"
#include "core/text_width.h"
#include "eval/class_outcomes.h"
#include "eval/resampled_ap.h"

namespace cytodet::eval {
namespace {

constexpr size_t kPointFigures = 3;  // precision, recall, F1

// Counts of each class at its operating point, and errors per image.
class AtPoint {
 public:
  AtPoint(const std::vector<ClassOutcomes>& outcomes, const std::vector<double>& least) {
    for (size_t c = 0; c < outcomes.size(); ++c)
      counts_.emplace_back(outcomes[c], std::isnan(least[c]) ? std::numeric_limits<double>::infinity() : least[c]);
    errors.assign(outcomes.empty() ? 0 : outcomes[0].truths.size(), 0);
    for (size_t c = 0; c < outcomes.size(); ++c)
      if (!std::isnan(least[c]))
        for (size_t i = 0; i < errors.size(); ++i)
          errors[i] += counts_[c].wrong()[i] + outcomes[c].truths[i] - counts_[c].right()[i];
  }
  void figures(size_t c, std::span<const int32_t> weights, std::span<double> out) const {
    const PointCounts n = counts_[c].weighted(weights);
    out[0] = precision_of(n);
    out[1] = recall_of(n);
    out[2] = f_beta_of(n, 1);
  }
  std::vector<int64_t> errors;

 private:
  std::vector<CountsOfImages> counts_;
};

double p_of(const std::vector<double>& differences) {
  double low = 1, high = 1, all = 1;
  for (const double d : differences) {
    if (std::isnan(d)) continue;
    ++all;
    low += d <= 0;
    high += d >= 0;
  }
  return all > 1 ? std::min(1.0, 2 * std::min(low, high) / all) : kUndefined;
}

std::string image_name(const GroundTruth& truth, int32_t image) {
  const GroundTruthImage& i = truth.images[static_cast<size_t>(image)];
  return !i.file_name.empty() ? i.file_name : i.key.empty() ? std::to_string(i.id) : i.key;
}

}  // namespace

Comparison compare(const GroundTruth& truth, const DetectionSet& first, const DetectionSet& second, const ComparisonOptions& o) {
  std::vector<double> least = o.operating_scores;
  least.resize(truth.categories.size(), kUndefined);
  const ResampledAp ap_first(truth, first, o.score), ap_second(truth, second, o.score);
  const OutcomeOptions matching{o.iou, o.bootstrap.threads};
  const std::vector<ClassOutcomes> of_first = find_class_outcomes(truth, first, matching),
                                   of_second = find_class_outcomes(truth, second, matching);
  const AtPoint at_first(of_first, least), at_second(of_second, least);
  std::vector<size_t> at;  // classes with an operating point
  for (size_t c = 0; c < least.size(); ++c)
    if (!std::isnan(least[c])) at.push_back(c);
  Comparison result;
  result.bootstrap = o.bootstrap;
  const auto add = [&](const std::string& name) { result.figures.push_back({name, kUndefined, kUndefined, {}, kUndefined}); };
  for (const char* name : {"AP", "AP50", "AP75"}) add(name);
  if (o.score.use_categories)
    for (const GroundTruthCategory& c : truth.categories) add("AP of " + c.name);
  else
    add("AP of all");
  for (const size_t c : at)
    for (const char* name : {"precision", "recall", "F1"}) add(std::string(name) + " of " + truth.categories[c].name);
  const size_t aps = ap_first.count(), count = result.figures.size();
  const auto of = [&](const ResampledAp& ap, const AtPoint& point) {
    return [&](std::span<const int32_t> weights, std::span<double> out) {
      ap(weights, out.first(aps));
      for (size_t k = 0; k < at.size(); ++k) point.figures(at[k], weights, out.subspan(aps + k * kPointFigures, kPointFigures));
    };
  };
  const Bootstrap bootstrap(truth.images.size(), o.bootstrap);
  const std::vector<double> values_first = bootstrap.once(count, of(ap_first, at_first)),
                            values_second = bootstrap.once(count, of(ap_second, at_second));
  auto differences = bootstrap.distribution(count, [&](std::span<const int32_t> weights, std::span<double> out) {
    std::vector<double> other(count, kUndefined);
    of(ap_first, at_first)(weights, out);
    of(ap_second, at_second)(weights, other);
    for (size_t f = 0; f < count; ++f) out[f] -= other[f];
  });
  for (size_t f = 0; f < count; ++f) {
    ComparedFigure& figure = result.figures[f];
    figure.first = values_first[f];
    figure.second = values_second[f];
    figure.difference.value = figure.first - figure.second;
    figure.p = p_of(differences[f]);
    if (!differences[f].empty()) figure.difference.interval = percentile_interval(differences[f], o.bootstrap.level);
  }
  for (size_t i = 0; i < at_first.errors.size(); ++i)
    if (at_first.errors[i] != at_second.errors[i])
      result.images.push_back({static_cast<int32_t>(i), at_first.errors[i], at_second.errors[i]});
  std::stable_sort(result.images.begin(), result.images.end(), [](const ComparedImage& a, const ComparedImage& b) {
    return std::abs(a.first - a.second) > std::abs(b.first - b.second);
  });
  if (result.images.size() > o.max_images) result.images.resize(o.max_images);
  return result;
}

std::string to_text(const Comparison& c, const GroundTruth& truth) {
  constexpr size_t kNameColumns = 24;
  char line[200];
  std::snprintf(line, sizeof line, " %8s %8s  %-28s %s\n", "this", "other", "difference", "p");
  std::string text = left_aligned("figure", kNameColumns) + line;
  const auto number = [](double v, int decimals) { return text_of({v, {}}, decimals); };
  for (const ComparedFigure& f : c.figures) {
    std::snprintf(line, sizeof line, " %8s %8s  %-28s %s\n", number(f.first, 4).c_str(), number(f.second, 4).c_str(),
                  text_of(f.difference, 4).c_str(), number(f.p, 4).c_str());
    text += left_aligned(f.name, kNameColumns) + line;
  }
  if (c.images.empty()) return text;
  text += "images whose errors at the operating point differ most (this, other):\n";
  for (const ComparedImage& i : c.images)
    text +=
        "  " + printable(image_name(truth, i.image)) + "  " + std::to_string(i.first) + ", " + std::to_string(i.second) + "\n";
  return text;
}

Json to_json(const Comparison& c, const GroundTruth& truth) {
  Json j{{"resamples", c.bootstrap.resamples}, {"seed", c.bootstrap.seed}, {"level", c.bootstrap.level}};
  j["figures"] = Json::array();
  for (const ComparedFigure& f : c.figures)
    j["figures"].push_back({{"name", f.name},
                            {"this", number_or_null(f.first)},
                            {"other", number_or_null(f.second)},
                            {"difference", to_json(f.difference)},
                            {"p", number_or_null(f.p)}});
  j["images"] = Json::array();
  for (const ComparedImage& i : c.images)
    j["images"].push_back({{"image", image_name(truth, i.image)}, {"errors_this", i.first}, {"errors_other", i.second}});
  return j;
}

}  // namespace cytodet::eval
