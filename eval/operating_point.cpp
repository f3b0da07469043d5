#include "eval/operating_point.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/rounded_number.h"

namespace cytodet::eval {
namespace {

constexpr const char* kKnownRules = "known: f1, fbeta:2, count, recall>=0.95, precision>=0.9, fp-per-image<=1, fp-per-mm2<=5";

struct RulePattern {
  const char* prefix;
  RuleKind kind;
  double min, max;  // of the value
};
constexpr RulePattern kPatterns[] = {{"fbeta:", RuleKind::f_beta, 1e-3, 1e3},
                                     {"recall>=", RuleKind::recall, 1e-9, 1},
                                     {"precision>=", RuleKind::precision, 1e-9, 1},
                                     {"fp-per-image<=", RuleKind::fp_per_image, 0, 1e9},
                                     {"fp-per-mm2<=", RuleKind::fp_per_mm2, 0, 1e9}};

// The score that a rule chooses, and what comes nearest where none meets it.
struct Choice {
  double score = kUndefined, next = kUndefined;  // next: the next lower score that occurs; undefined: none
  double nearest = kUndefined, nearest_score = kUndefined;
};

Choice choose(const ClassOutcomes& outcomes, const OperatingRule& rule, std::span<const int32_t> weights,
              std::span<const double> mm2) {
  Choice choice;
  const double whole = extent_of(weights, rule.kind == RuleKind::fp_per_mm2 ? mm2 : std::span<const double>());
  double best = -1;
  bool open = false;  // the chosen score is the last one seen
  const auto take = [&](double score) {
    choice.score = score;
    choice.next = kUndefined;
    open = true;
  };
  const auto near = [&](double figure, double score, bool more) {
    if (std::isnan(choice.nearest) || (more ? figure > choice.nearest : figure < choice.nearest))
      choice.nearest = figure, choice.nearest_score = score;
  };
  sweep(outcomes, weights, [&](double score, const PointCounts& c) {
    if (open) choice.next = score;
    open = false;
    switch (rule.kind) {
      case RuleKind::f_beta:
        if (const double f = f_beta_of(c, rule.value); f > best) best = f, take(score);
        return true;
      case RuleKind::count:
        if (const double off = std::abs(static_cast<double>(c.right + c.wrong - c.truths)); best < 0 || off < best)
          best = off, take(score);
        return true;
      case RuleKind::recall:
        if (!std::isnan(choice.score)) return false;
        near(recall_of(c), score, true);
        if (recall_of(c) >= rule.value) take(score);
        return true;
      case RuleKind::precision:
        near(precision_of(c), score, true);
        if (precision_of(c) >= rule.value) take(score);
        return true;
      case RuleKind::fp_per_image:
      case RuleKind::fp_per_mm2: {
        const double rate = whole > 0 ? static_cast<double>(c.wrong) / whole : kUndefined;
        near(rate, score, false);
        if (rate <= rule.value) take(score);
        return rate <= rule.value;
      }
    }
    return false;
  });
  return choice;
}

std::string why_none(const ClassOutcomes& outcomes, const OperatingRule& rule, const Choice& choice) {
  if (outcomes.truth_count == 0) return "has no ground truth boxes";
  if (outcomes.detections.empty()) return "has no detections";
  static const char* const kFigures[] = {
      "F", "count", "recall", "precision", "false positives per image", "false positives per mm2"};
  return std::string("no score gives ") + rule.text + "; the nearest is " + core::rounded(choice.nearest) + " " +
         kFigures[static_cast<size_t>(rule.kind)] + " at score " + core::rounded(choice.nearest_score);
}

// A score between `below` and `above` that keeps them apart also when they are rounded to floats, as boxes hold them.
double score_between(double below, double above) {
  const auto low = static_cast<float>(below), high = static_cast<float>(above);
  const double from = std::max(below, static_cast<double>(low)), to = std::min(above, static_cast<double>(high));
  const double under = static_cast<double>(std::nextafter(high, 0.0f));  // not the score itself, which may round to below it
  return under > from ? shortest_between(from, under) : from < to ? shortest_between(from, to) : above;
}

}  // namespace

OperatingRule operating_rule(const std::string& text) {
  if (text == "f1") return {RuleKind::f_beta, 1, text};
  if (text == "count") return {RuleKind::count, 0, text};
  for (const RulePattern& pattern : kPatterns) {
    const std::string_view prefix = pattern.prefix;
    if (!text.starts_with(prefix)) continue;
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data() + prefix.size(), end, value);
    if (error != std::errc() || stopped != end || !(value >= pattern.min && value <= pattern.max))
      throw UsageError(
          "operating point \"" + text + "\"",
          "needs a number from " + core::rounded(pattern.min) + " to " + core::rounded(pattern.max) + " behind " + pattern.prefix,
          kKnownRules);
    return {pattern.kind, value, text};
  }
  throw UsageError("operating point \"" + text + "\"", "is no rule", kKnownRules);
}

PointFigures figures_at(const ClassOutcomes& outcomes, double min_score, std::span<const double> mm2,
                        const Bootstrap& bootstrap) {
  if (std::isnan(min_score)) return {};
  const CountsOfImages counts(outcomes, min_score);
  const auto estimates = bootstrap.estimate(5, [&](std::span<const int32_t> weights, std::span<double> out) {
    const PointCounts c = counts.weighted(weights);
    const auto wrong = static_cast<double>(c.wrong);
    out[0] = precision_of(c);
    out[1] = recall_of(c);
    out[2] = f_beta_of(c, 1);
    out[3] = wrong / extent_of(weights, {});
    const double area = mm2.empty() ? 0 : extent_of(weights, mm2);
    out[4] = area > 0 ? wrong / area : kUndefined;
  });
  return {estimates[0], estimates[1], estimates[2], estimates[3], estimates[4]};
}

OperatingPoint find_operating_point(const ClassOutcomes& outcomes, const OperatingRule& rule, std::span<const double> mm2,
                                    const Bootstrap& bootstrap) {
  if (rule.kind == RuleKind::fp_per_mm2 && mm2.empty())
    throw UsageError("operating point \"" + rule.text + "\"", "needs the area of every image",
                     "score a run folder whose slides give their micrometres per pixel, or give --set-mpp");
  OperatingPoint point;
  const std::vector<int32_t> ones(outcomes.truths.size(), 1);
  const Choice choice = choose(outcomes, rule, ones, mm2);
  if (outcomes.truth_count == 0 || std::isnan(choice.score)) {
    point.problem = why_none(outcomes, rule, choice);
    return point;
  }
  // With a little room below where no lower score occurs.
  point.score = score_between(std::isnan(choice.next) ? choice.score * 0.95 : choice.next, choice.score);
  auto resampled = bootstrap.distribution(
      1, [&](std::span<const int32_t> weights, std::span<double> out) { out[0] = choose(outcomes, rule, weights, mm2).score; });
  if (!resampled[0].empty()) point.interval = percentile_interval(resampled[0], bootstrap.options().level);
  point.figures = figures_at(outcomes, *point.score, mm2, bootstrap);
  return point;
}

double shortest_between(double below, double above) {
  for (int digits = 2; digits <= 17; ++digits) {
    char text[40];
    const double power = std::pow(10.0, digits);
    std::snprintf(text, sizeof text, "%.*f", digits, std::floor(above * power) / power);
    double v = 0;
    std::from_chars(text, text + std::char_traits<char>::length(text), v);
    if (v > below && v <= above) return v;
  }
  return above;
}

}  // namespace cytodet::eval
