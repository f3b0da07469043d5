#include "tiling/merge/merge_entries.h"
#include "tiling/merge/remaining_boxes.h"

namespace cytodet::tiling {

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
