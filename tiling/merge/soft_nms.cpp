#include <cmath>
#include <queue>

#include "tiling/merge/box_index.h"
#include "tiling/merge/rows.h"

namespace cytodet {

Detections merge_soft_nms(std::vector<TileDetection> all, const MergeSettings& s) {
  Detections out;
  for (const auto& group : by_class(std::move(all))) {
    BoxIndex index(cell_for(group, [](const TileDetection& d) -> const Box& { return d.detection.box; }));
    std::vector<double> score;
    std::vector<size_t> last_taker(group.size(), group.size());  // cells may name a neighbour twice
    using Entry = std::pair<double, int>;                        // score when queued, minus the rank
    std::priority_queue<Entry> queue;
    for (size_t i = 0; i < group.size(); ++i) {
      index.add(static_cast<int>(i), group[i].detection.box);
      score.push_back(static_cast<double>(group[i].detection.score));
      queue.emplace(score[i], -static_cast<int>(i));
    }
    std::vector<bool> taken(group.size(), false);
    while (!queue.empty()) {
      const auto [queued, rank] = queue.top();
      queue.pop();
      const auto best = static_cast<size_t>(-rank);
      if (taken[best] || queued != score[best]) continue;
      taken[best] = true;
      if (score[best] < s.soft_score) continue;
      const Box& box = group[best].detection.box;
      out.push_back(group[best].detection);
      out.back().score = static_cast<float>(score[best]);
      index.any(box, [&](int id) {
        const auto other = static_cast<size_t>(id);
        if (taken[other] || last_taker[other] == best) return false;
        last_taker[other] = best;
        const double overlap = iou(box, group[other].detection.box);
        if (overlap <= 0) return false;
        score[other] *= std::exp(-overlap * overlap / s.soft_sigma);
        queue.emplace(score[other], -id);
        return false;
      });
    }
  }
  return out;
}

}  // namespace cytodet
