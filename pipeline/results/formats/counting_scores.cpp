#include "pipeline/results/formats/counting_scores.h"

#include <algorithm>

#include "core/error.h"
#include "core/settings.h"
#include "core/shortest_number.h"

namespace cytodet::pipeline {

void fields(Fields& f, CountingScores& s) {
  f("source", s.source);
  f("scores", s.scores);
}

void check(const CountingScores& s, size_t classes, const std::string& where) {
  if (!s.scores.empty() && s.scores.size() != classes)
    throw Error(where, "operating_point.scores has not one score per class", "restore the file");
  for (const double v : s.scores)
    if (!(v >= 0 && v <= 1)) throw Error(where, "operating_point.scores must be 0 to 1", "restore the file");
}

CountingScores counting_scores(const ModelFile& model, const std::optional<double>& chosen, const std::string& graph_hash) {
  const auto classes = static_cast<size_t>(model.class_count());
  if (chosen) return {kChosenPoint, std::vector<double>(classes, *chosen)};
  if (!model.operating_scores) return {kDefaultPoint, std::vector<double>(classes, kDefaultOperatingScore)};
  const OperatingScores& o = *model.operating_scores;
  CountingScores s{"operating point of the model file, " + o.rule, {}};
  for (const OperatingScore& c : o.classes) s.scores.push_back(c.score);
  if (!o.graph_hash.empty() && !graph_hash.empty() && o.graph_hash != graph_hash) s.source += ", found with another graph";
  return s;
}

Detections counted(Detections detections, const CountingScores& scores) {
  std::erase_if(detections, [&](const Detection& d) { return !scores.counts(d); });
  return detections;
}

std::vector<int64_t> counts_of_classes(const Detections& detections, const CountingScores& scores, size_t classes) {
  std::vector<int64_t> counts(classes, 0);
  for (const Detection& d : detections)
    if (scores.counts(d) && static_cast<size_t>(d.category) < classes) ++counts[static_cast<size_t>(d.category)];
  return counts;
}

std::string text_of(const CountingScores& s, const std::vector<std::string>& classes) {
  if (s.all()) return "";
  std::string list;
  const auto append = [&](double v) { append_shortest(list, v); };
  if (std::all_of(s.scores.begin(), s.scores.end(), [&](double v) { return v == s.scores[0]; }))
    append(s.scores[0]);
  else
    for (size_t c = 0; c < s.scores.size(); ++c) {
      if (c == 8) {
        list += ", ...";
        break;
      }
      if (c) list += ", ";
      append(s.scores[c]);
      list += " (" + (c < classes.size() ? classes[c] : std::to_string(c)) + ")";
    }
  return "from score " + list + " on" + (s.source == kChosenPoint ? "" : ": " + s.source);
}

}  // namespace cytodet::pipeline
