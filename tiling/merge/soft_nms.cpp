#include <cmath>
#include <queue>

#include "tiling/merge/merge_entries.h"
#include "tiling/merge/remaining_boxes.h"

namespace cytodet::tiling {

Detections merge_soft_nms(std::vector<TileDetection> all, const MergeSettings& s) {
  Detections out;
  const Overlap any{Overlap::Of::both, 0};
  for (const auto& group : ranked_groups(all, s)) {
    RemainingBoxes left(boxes_of(group));
    using Entry = std::pair<double, int>;  // score when queued (it may have fallen since), minus the rank; one entry per box
    std::vector<Entry> first;
    std::vector<double> score;
    for (size_t i = 0; i < group.size(); ++i) {
      score.push_back(static_cast<double>(group[i].detection.score));
      first.emplace_back(score[i], -static_cast<int>(i));
    }
    std::priority_queue<Entry> queue({}, std::move(first));
    while (!queue.empty()) {
      const auto [queued, rank] = queue.top();
      queue.pop();
      const auto best = static_cast<size_t>(-rank);
      if (queued < s.soft_score) break;  // the rest is worse still
      if (queued != score[best]) {
        queue.emplace(score[best], rank);
        continue;
      }
      left.remove(static_cast<int>(best));
      const Box& box = group[best].detection.box;
      out.push_back(group[best].detection);
      out.back().score = static_cast<float>(score[best]);
      left.each(box, any, [&](int id, const Box& other) {
        const double overlap = iou(box, other);
        double& lowered = score[static_cast<size_t>(id)];
        lowered *= std::exp(-overlap * overlap / s.soft_sigma);
        return lowered < s.soft_score ? RemainingBoxes::Visit::remove : RemainingBoxes::Visit::keep;
      });
    }
  }
  return out;
}

}  // namespace cytodet::tiling
