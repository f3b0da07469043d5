#include <algorithm>

#include "tiling/merge/merge_entries.h"
#include "tiling/merge/remaining_boxes.h"

namespace cytodet::tiling {
namespace {

constexpr size_t kFree = SIZE_MAX;

void grow(Box& box, const Box& other) {
  box = {std::min(box.x0, other.x0), std::min(box.y0, other.y0), std::max(box.x1, other.x1), std::max(box.y1, other.y1)};
}

void enclose(std::span<const TileDetection> ranked, const Overlap& overlap, bool chains, Detections& out) {
  RemainingBoxes left(boxes_of(ranked));
  const std::vector<uint8_t> isolated = left.remove_isolated(overlap);
  std::vector<size_t> place(ranked.size(), kFree);  // in `out` of the box that took it in
  std::vector<int> taken;
  for (size_t i = 0; i < ranked.size(); ++i) {
    if (isolated[i]) {
      out.push_back(ranked[i].detection);
      continue;
    }
    if (place[i] == kFree) {
      place[i] = out.size();
      out.push_back(ranked[i].detection);
      left.remove(static_cast<int>(i));
    } else if (!chains) {
      continue;
    }
    taken.clear();
    left.each(ranked[i].detection.box, overlap, [&](int id, const Box&) {
      taken.push_back(id);
      return RemainingBoxes::Visit::remove;
    });
    std::sort(taken.begin(), taken.end());
    Box& grown = out[place[i]].box;
    for (int id : taken) {
      const Box& other = ranked[static_cast<size_t>(id)].detection.box;
      place[static_cast<size_t>(id)] = place[i];
      if (overlap.exceeded(grown, other)) grow(grown, other);
    }
  }
}

Detections merge_enclosing(std::vector<TileDetection> all, const MergeSettings& s, bool chains) {
  Detections out;
  for (const auto& group : ranked_groups(all, s)) enclose(group, overlap_of(s), chains, out);
  return out;
}

}  // namespace

Detections merge_greedy_nmm(std::vector<TileDetection> all, const MergeSettings& s) {
  return merge_enclosing(std::move(all), s, false);
}

Detections merge_nmm(std::vector<TileDetection> all, const MergeSettings& s) { return merge_enclosing(std::move(all), s, true); }

}  // namespace cytodet::tiling
