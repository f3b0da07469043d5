#include "tiling/merge.h"

#include <algorithm>
#include <cmath>

#include "core/names.h"
#include "tiling/merge/box_index.h"
#include "tiling/merge/rows.h"

namespace cytodet {

std::vector<std::vector<TileDetection>> by_class(std::vector<TileDetection> all) {
  std::sort(all.begin(), all.end(), [](const TileDetection& a, const TileDetection& b) {
    if (a.detection.category != b.detection.category) return a.detection.category < b.detection.category;
    if (a.detection != b.detection) return ranks_before(a.detection, b.detection);
    if (a.cut != b.cut) return b.cut;
    return a.tile < b.tile;
  });
  std::vector<std::vector<TileDetection>> groups;
  for (TileDetection& d : all) {
    if (groups.empty() || groups.back().front().detection.category != d.detection.category) groups.emplace_back();
    groups.back().push_back(d);
  }
  return groups;
}

namespace {

// Greedy suppression of one class, ranked.
void suppress(const std::vector<TileDetection>& ranked, double limit, Detections& out) {
  BoxIndex kept(cell_for(ranked, [](const TileDetection& d) -> const Box& { return d.detection.box; }));
  for (size_t i = 0; i < ranked.size(); ++i) {
    const Box& box = ranked[i].detection.box;
    if (kept.any(box, [&](int k) { return iou(ranked[static_cast<size_t>(k)].detection.box, box) > limit; })) continue;
    kept.add(static_cast<int>(i), box);
    out.push_back(ranked[i].detection);
  }
}

Detections merge_nms(std::vector<TileDetection> all, const MergeSettings& s) {
  Detections out;
  for (const auto& group : by_class(std::move(all))) suppress(group, s.iou, out);
  return out;
}

// A box that touches an inner tile edge may be a cut cell. When a box of another tile that is not cut covers it, that one saw the
// cell whole and owns it; the cut box goes. What is left is suppressed as usual.
Detections merge_owner(std::vector<TileDetection> all, const MergeSettings& s) {
  Detections out;
  for (auto& group : by_class(std::move(all))) {
    BoxIndex whole(cell_for(group, [](const TileDetection& d) -> const Box& { return d.detection.box; }));
    for (size_t i = 0; i < group.size(); ++i)
      if (!group[i].cut) whole.add(static_cast<int>(i), group[i].detection.box);
    std::vector<TileDetection> rest;
    for (const TileDetection& d : group) {
      const Box& box = d.detection.box;
      bool owned = d.cut && box.area() > 0 && whole.any(box, [&](int k) {
        const TileDetection& other = group[static_cast<size_t>(k)];
        return other.tile != d.tile && intersection(other.detection.box, box) > s.cover * box.area();
      });
      if (!owned) rest.push_back(d);
    }
    suppress(rest, s.iou, out);
  }
  return out;
}

constexpr MergeMethod kMethods[] = {
    {"nms", "per class, the best of boxes that overlap", merge_nms},
    {"soft_nms", "per class, scores fall by the overlap with better boxes", merge_soft_nms},
    {"owner", "cut boxes give way to the tile that sees the cell whole, then nms", merge_owner},
};

}  // namespace

void fields(Fields& f, MergeSettings& s) {
  f("method", s.method);
  f("iou", s.iou);
  f("edge_px", s.edge_px);
  f("cover", s.cover);
  f("soft_sigma", s.soft_sigma);
  f("soft_score", s.soft_score);
}

std::span<const MergeMethod> merge_methods() { return kMethods; }

Detections merge(std::vector<TileDetection> detections, const MergeSettings& s) {
  if (!(s.iou >= 0 && s.iou <= 1)) throw UsageError("merge.iou", "must be 0 to 1");
  if (!(s.cover >= 0 && s.cover <= 1)) throw UsageError("merge.cover", "must be 0 to 1");
  if (!(s.edge_px >= 0)) throw UsageError("merge.edge_px", "must be 0 or more");
  if (!(s.soft_sigma > 0)) throw UsageError("merge.soft_sigma", "must be above 0");
  if (!(s.soft_score >= 0 && s.soft_score <= 1)) throw UsageError("merge.soft_score", "must be 0 to 1");
  std::vector<std::string> known;
  for (const MergeMethod& m : kMethods) {
    known.push_back(m.name);
    if (s.method != m.name) continue;
    Detections out = m.run(std::move(detections), s);
    std::sort(out.begin(), out.end(), ranks_before);
    return out;
  }
  throw UsageError("merge.method", "there is no method \"" + s.method + "\"", suggest(s.method, known));
}

}  // namespace cytodet
