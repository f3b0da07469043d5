#include "tiling/merge/merge.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/enum_names.h"
#include "core/settings.h"
#include "core/suggest.h"
#include "tiling/merge/merge_entries.h"
#include "tiling/merge/remaining_boxes.h"

namespace cytodet::tiling {
namespace {

constexpr MergeMethodEntry kMergeMethods[] = {
    {MergeMethod::nms, "nms", "the best of boxes that overlap stays", false, merge_nms},
    {MergeMethod::soft_nms, "soft_nms", "scores fall by the overlap with better boxes", true, merge_soft_nms},
    {MergeMethod::greedy_nmm, "greedy_nmm", "the best of boxes that overlap grows to enclose them", false, merge_greedy_nmm},
    {MergeMethod::nmm, "nmm", "as greedy_nmm, through chains of boxes", false, merge_nmm},
    {MergeMethod::wbf, "wbf", "boxes that overlap become their mean, weighted by score", true, merge_wbf},
    {MergeMethod::owner, "owner", "cut boxes give way to the tile that sees the cell whole, then nms", false, merge_owner},
};

constexpr EnumName<MergeMetric> kMetrics[] = {{MergeMetric::iou, "iou"}, {MergeMetric::ios, "ios"}};
constexpr EnumName<WbfScore> kWbfScores[] = {{WbfScore::max, "max"}, {WbfScore::avg, "avg"}};

const MergeMethodEntry& entry_of(MergeMethod method) {
  for (const MergeMethodEntry& entry : kMergeMethods)
    if (entry.method == method) return entry;
  throw Error("merge", "a method has no entry in kMergeMethods");
}

bool finite(const Detection& d) {
  return std::isfinite(d.box.x0) && std::isfinite(d.box.y0) && std::isfinite(d.box.x1) && std::isfinite(d.box.y1) &&
         std::isfinite(d.score);
}

// Better scores have smaller keys.
uint32_t score_key(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);  // one zero
  return bits >> 31 ? bits : ~bits & 0x7fffffffu;
}

bool before(const TileDetection& a, const TileDetection& b) {
  if (a.detection != b.detection) return ranks_before(a.detection, b.detection);
  if (a.cut != b.cut) return b.cut;
  return a.tile < b.tile;
}

}  // namespace

std::vector<std::span<TileDetection>> ranked_groups(std::vector<TileDetection>& all, const MergeSettings& s) {
  struct Key {
    uint32_t group, score, index;
  };
  std::vector<Key> keys(all.size());
  for (size_t i = 0; i < all.size(); ++i)
    keys[i] = {s.class_agnostic ? 0 : static_cast<uint32_t>(all[i].detection.category), score_key(all[i].detection.score),
               static_cast<uint32_t>(i)};
  const auto first = [&](const Key& a, const Key& b) {
    if (a.group != b.group) return a.group < b.group;
    return a.score != b.score ? a.score < b.score : before(all[a.index], all[b.index]);
  };
  if (!std::is_sorted(keys.begin(), keys.end(), first)) std::sort(keys.begin(), keys.end(), first);
  std::vector<TileDetection> sorted(all.size());
  std::vector<size_t> ends;
  for (size_t i = 0; i < keys.size(); ++i) {
    sorted[i] = all[keys[i].index];
    if (i + 1 == keys.size() || keys[i + 1].group != keys[i].group) ends.push_back(i + 1);
  }
  all = std::move(sorted);
  std::vector<std::span<TileDetection>> groups;
  size_t begin = 0;
  for (size_t end : ends) {
    groups.push_back(std::span(all).subspan(begin, end - begin));
    begin = end;
  }
  return groups;
}

std::vector<Box> boxes_of(std::span<const TileDetection> group) {
  std::vector<Box> boxes;
  boxes.reserve(group.size());
  for (const TileDetection& d : group) boxes.push_back(d.detection.box);
  return boxes;
}

Overlap overlap_of(const MergeSettings& s) {
  return {s.metric == MergeMetric::ios ? Overlap::Of::smaller : Overlap::Of::both, s.iou};
}

const char* name_of(MergeMethod method) { return entry_of(method).name; }
const char* name_of(MergeMetric metric) { return name_in(kMetrics, metric); }
const char* name_of(WbfScore score) { return name_in(kWbfScores, score); }
MergeMethod merge_method_named(const std::string& name) {
  if (const MergeMethodEntry* entry = entry_named(kMergeMethods, name)) return entry->method;
  throw UsageError("merge.method", "there is no method \"" + name + "\"", suggest(name, names_of(kMergeMethods)));
}
MergeMetric merge_metric_named(const std::string& name) { return value_named(kMetrics, name, "merge.metric", "metric"); }
WbfScore wbf_score_named(const std::string& name) { return value_named(kWbfScores, name, "merge.wbf_score", "score"); }

void fields(Fields& f, MergeSettings& s) {
  enum_field(f, "method", s.method, merge_method_named);
  enum_field(f, "metric", s.metric, merge_metric_named);
  f("iou", s.iou);
  f("class_agnostic", s.class_agnostic);
  f("edge_px", s.edge_px);
  f("cover", s.cover);
  f("soft_sigma", s.soft_sigma);
  f("soft_score", s.soft_score);
  enum_field(f, "wbf_score", s.wbf_score, wbf_score_named);
  f("wbf_models", s.wbf_models);
}

std::span<const MergeMethodEntry> merge_methods() { return kMergeMethods; }

void check(const MergeSettings& s) {
  if (entry_of(s.method).iou_only && s.metric != MergeMetric::iou)
    throw UsageError("merge.metric", std::string(name_of(s.method)) + " is defined by iou", "leave metric away");
  if (!(s.iou >= 0 && s.iou <= 1)) throw UsageError("merge.iou", "must be 0 to 1");
  if (!(s.cover >= 0 && s.cover <= 1)) throw UsageError("merge.cover", "must be 0 to 1");
  if (!(s.edge_px >= 0)) throw UsageError("merge.edge_px", "must be 0 or more");
  if (!(s.soft_sigma > 0)) throw UsageError("merge.soft_sigma", "must be above 0");
  if (!(s.soft_score >= 0 && s.soft_score <= 1)) throw UsageError("merge.soft_score", "must be 0 to 1");
  if (s.wbf_models < 1) throw UsageError("merge.wbf_models", "must be 1 or more");
}

Detections merge(std::vector<TileDetection> detections, const MergeSettings& s) {
  check(s);
  for (size_t i = 0; i < detections.size(); ++i)
    if (!finite(detections[i].detection))
      throw Error("merge", "detection " + std::to_string(i) + " has a coordinate or score that is not finite");
  Detections out = entry_of(s.method).run(std::move(detections), s);
  if (!std::is_sorted(out.begin(), out.end(), ranks_before)) std::sort(out.begin(), out.end(), ranks_before);
  return out;
}

void suppress(std::span<const TileDetection> ranked, const Overlap& overlap, Detections& out) {
  RemainingBoxes left(boxes_of(ranked));
  const std::vector<uint8_t> isolated = left.remove_isolated(overlap);
  std::vector<bool> gone(ranked.size(), false);
  for (size_t i = 0; i < ranked.size(); ++i) {
    if (gone[i]) continue;
    out.push_back(ranked[i].detection);
    if (isolated[i]) continue;
    left.remove(static_cast<int>(i));
    left.each(ranked[i].detection.box, overlap, [&](int id, const Box&) {
      gone[static_cast<size_t>(id)] = true;
      return RemainingBoxes::Visit::remove;
    });
  }
}

Detections merge_nms(std::vector<TileDetection> all, const MergeSettings& s) {
  Detections out;
  for (const auto& group : ranked_groups(all, s)) suppress(group, overlap_of(s), out);
  return out;
}

Detections merge_owner(std::vector<TileDetection> all, const MergeSettings& s) {
  const Overlap part{Overlap::Of::first, s.cover};
  Detections out;
  std::vector<TileDetection> rest, whole;
  for (const auto& group : ranked_groups(all, s)) {
    rest.clear();
    whole.clear();
    for (const TileDetection& d : group)
      if (!d.cut) whole.push_back(d);
    RemainingBoxes uncut(boxes_of(whole));
    for (const TileDetection& d : group) {
      bool owned = false;
      if (d.cut)
        uncut.each(d.detection.box, part, [&](int id, const Box&) {
          owned = whole[static_cast<size_t>(id)].tile != d.tile;
          return owned ? RemainingBoxes::Visit::stop : RemainingBoxes::Visit::keep;
        });
      if (!owned) rest.push_back(d);
    }
    suppress(rest, overlap_of(s), out);
  }
  return out;
}

}  // namespace cytodet::tiling
