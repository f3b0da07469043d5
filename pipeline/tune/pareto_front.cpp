#include "pipeline/tune/pareto_front.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "core/error.h"
#include "core/suggest.h"

namespace cytodet::pipeline {
namespace {

constexpr PickRule kRules[] = {
    {"max-map", "the best mAP", false, [](const TunePoint&, double) { return true; },
     [](const TunePoint& p, double) { return std::pair(p.map, p.per_second); }},
    {"max-speed", "the fastest", false, [](const TunePoint&, double) { return true; },
     [](const TunePoint& p, double) { return std::pair(p.per_second, p.map); }},
    {"score", "the best sum of mAP and speed, each relative to the best", false, [](const TunePoint&, double) { return true; },
     [](const TunePoint& p, double sum) { return std::pair(sum, p.map); }},
    {"map>=", "the fastest with at least this mAP", true, [](const TunePoint& p, double limit) { return p.map >= limit; },
     [](const TunePoint& p, double) { return std::pair(p.per_second, p.map); }},
    {"speed>=", "the best mAP with at least this many images, mm2 or megapixels per second, as the table says", true,
     [](const TunePoint& p, double limit) { return p.per_second >= limit; },
     [](const TunePoint& p, double) { return std::pair(p.map, p.per_second); }},
};

struct Chosen {
  const PickRule* rule;
  double limit = 0;
};

Chosen parse(const std::string& text) {
  std::vector<std::string> known;
  for (const PickRule& r : kRules) {
    known.push_back(r.takes_limit ? r.name + std::string("0.5") : r.name);
    const std::string name = r.name;
    if (!r.takes_limit && text == name) return {&r};
    if (!r.takes_limit || !text.starts_with(name)) continue;
    Chosen c{&r};
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + name.size(), end, c.limit);
    if (error != std::errc() || at != end || !std::isfinite(c.limit))
      throw UsageError("--pick " + text, "\"" + text.substr(name.size()) + "\" is not a number", "give it as " + known.back());
    return c;
  }
  throw UsageError("--pick " + text, "there is no such rule", suggest(text, known));
}

}  // namespace

double round_speed(double per_second) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.3g", per_second);
  return std::strtod(digits, nullptr);
}

bool dominates(const TunePoint& a, const TunePoint& b) {
  return a.map >= b.map && a.per_second >= b.per_second && (a.map > b.map || a.per_second > b.per_second);
}

std::vector<size_t> pareto_front(const std::vector<TunePoint>& points) {
  std::vector<size_t> order(points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const TunePoint &p = points[a], &q = points[b];
    if (p.map != q.map) return p.map > q.map;
    return p.per_second != q.per_second ? p.per_second > q.per_second : a < b;
  });
  std::vector<size_t> front;
  for (size_t i : order) {
    // Whatever dominates i comes before it, and the last of the front is the fastest so far.
    if (front.empty() || points[i].per_second > points[front.back()].per_second || !dominates(points[front.back()], points[i]))
      front.push_back(i);
  }
  return front;
}

std::vector<double> sum_scores(const std::vector<TunePoint>& points) {
  double map = 0, speed = 0;
  for (const TunePoint& p : points) {
    map = std::max(map, p.map);
    speed = std::max(speed, p.per_second);
  }
  std::vector<double> sums;
  for (const TunePoint& p : points)
    sums.push_back((map > 0 ? std::max(p.map, 0.0) / map : 0) + (speed > 0 ? p.per_second / speed : 0));
  return sums;
}

std::span<const PickRule> pick_rules() { return kRules; }

void check_pick(const std::string& rule) { parse(rule); }

size_t pick(const std::vector<TunePoint>& points, const std::string& text, const std::string& figure, const std::string& unit) {
  const Chosen c = parse(text);
  const std::vector<double> sums = sum_scores(points);
  const size_t none = points.size();
  size_t best = none;
  double map = -1, speed = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    map = std::max(map, points[i].map);
    speed = std::max(speed, points[i].per_second);
    if (!c.rule->allows(points[i], c.limit)) continue;
    if (best == none || c.rule->value(points[i], sums[i]) > c.rule->value(points[best], sums[best])) best = i;
  }
  if (points.empty()) throw Error("--pick " + text, "there is nothing to pick from: no setting was measured to its end");
  char numbers[2][32];
  std::snprintf(numbers[0], sizeof numbers[0], "%.4f", map);
  std::snprintf(numbers[1], sizeof numbers[1], "%.3g", speed);
  if (best == none)
    throw Error("--pick " + text, "no setting reaches that",
                "the best " + figure + " is " + numbers[0] + ", the best speed " + numbers[1] + " " + unit + "/s");
  return best;
}

}  // namespace cytodet::pipeline
