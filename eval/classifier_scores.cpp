#include "eval/classifier_scores.h"

#include <algorithm>
#include <cstdio>

#include "core/settings.h"
#include "core/text_width.h"
#include "eval/top_k.h"

namespace cytodet::eval {
namespace {

size_t name_width(const std::vector<std::string>& names) {
  constexpr size_t kWidest = 24;
  size_t width = 5;
  for (const std::string& name : names) width = std::max(width, display_width(name));
  return std::min(width, kWidest);
}

std::string count_text(int64_t n, size_t columns) { return right_aligned(std::to_string(n), columns); }

std::string share_text(std::optional<double> share, size_t columns) {
  char text[32] = "-";
  if (share) std::snprintf(text, sizeof text, "%.4f", *share);
  return right_aligned(text, columns);
}

std::string confusion_table(const ClassificationScores& s) {
  const std::vector<std::string>& names = s.classes();
  const size_t width = name_width(names);
  const auto count = [&](int label, int predicted) {
    const auto found = s.pairs().find({label, predicted});
    return found == s.pairs().end() ? 0 : found->second;
  };
  std::string text = left_aligned("label", width);
  for (const std::string& name : names) text += " " + right_aligned(name, width);
  text += "\n";
  for (size_t label = 0; label < names.size(); ++label) {
    text += left_aligned(names[label], width);
    for (size_t predicted = 0; predicted < names.size(); ++predicted)
      text += " " + count_text(count(static_cast<int>(label), static_cast<int>(predicted)), width);
    text += "\n";
  }
  return text;
}

Json json_of(std::optional<double> share) { return share ? Json(*share) : Json(); }

}  // namespace

ClassificationScores::ClassificationScores(std::vector<std::string> classes)
    : classes_(std::move(classes)), of_classes_(classes_.size()) {}

void ClassificationScores::add(std::span<const float> scores, int label) {
  const int predicted = top_k(scores, 1).at(0);
  ++images_;
  top1_ += in_top_k(scores, label, 1, Ties::hit);
  top5_ += in_top_k(scores, label, 5, Ties::hit);
  strict1_ += in_top_k(scores, label, 1, Ties::miss);
  strict5_ += in_top_k(scores, label, 5, Ties::miss);
  ++of_classes_.at(static_cast<size_t>(label)).images;
  ++of_classes_.at(static_cast<size_t>(predicted)).predicted;
  of_classes_[static_cast<size_t>(label)].right += label == predicted;
  ++pairs_[{label, predicted}];
}

void ClassificationScores::add_miss(std::optional<int> label) {
  ++images_;
  ++without_;
  if (label) ++of_classes_.at(static_cast<size_t>(*label)).images;
}

TopShares ClassificationScores::shares() const {
  const auto share = [&](int64_t n) { return images_ ? static_cast<double>(n) / static_cast<double>(images_) : 0; };
  return {share(top1_), share(top5_), share(strict1_), share(strict5_)};
}

std::string class_table(const ClassificationScores& s) {
  const size_t width = name_width(s.classes());
  std::string text = left_aligned("class", width) + "  images  recall  precision      F1\n";
  for (size_t c = 0; c < s.classes().size(); ++c) {
    const ClassScore& k = s.of_classes()[c];
    if (!k.images && !k.predicted) continue;
    text += left_aligned(s.classes()[c], width) + "  " + count_text(k.images, 6) + share_text(k.recall(), 8) +
            share_text(k.precision(), 11) + share_text(k.f1(), 8) + "\n";
  }
  return text;
}

std::string confusion_text(const ClassificationScores& s, size_t max_classes) {
  if (s.classes().size() <= max_classes) return confusion_table(s);
  std::vector<std::pair<int64_t, std::pair<int, int>>> wrong;
  for (const auto& [pair, n] : s.pairs())
    if (pair.first != pair.second) wrong.push_back({-n, pair});
  std::sort(wrong.begin(), wrong.end());
  std::string text = "images  label -> predicted, the most frequent\n";
  for (size_t i = 0; i < std::min(max_classes, wrong.size()); ++i)
    text += count_text(-wrong[i].first, 6) + "  " + printable(s.classes()[static_cast<size_t>(wrong[i].second.first)]) + " -> " +
            printable(s.classes()[static_cast<size_t>(wrong[i].second.second)]) + "\n";
  return text;
}

Json to_json(const ClassificationScores& s) {
  const TopShares shares = s.shares();
  Json j{{"images", s.images()}, {"top1", shares.top1}, {"top5", shares.top5}};
  if (s.misses_without_prediction()) j["misses_without_prediction"] = s.misses_without_prediction();
  j["strict_top1"] = shares.strict_top1;
  j["strict_top5"] = shares.strict_top5;
  j["classes"] = Json::array();
  for (size_t c = 0; c < s.classes().size(); ++c) {
    const ClassScore& k = s.of_classes()[c];
    if (k.images || k.predicted)
      j["classes"].push_back({{"class", s.classes()[c]},
                              {"images", k.images},
                              {"recall", json_of(k.recall())},
                              {"precision", json_of(k.precision())}});
  }
  j["confusion"] = Json::array();
  for (const auto& [pair, n] : s.pairs())
    j["confusion"].push_back({{"label", s.classes()[static_cast<size_t>(pair.first)]},
                              {"predicted", s.classes()[static_cast<size_t>(pair.second)]},
                              {"images", n}});
  return j;
}

}  // namespace cytodet::eval
