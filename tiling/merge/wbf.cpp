#include <algorithm>

#include "tiling/merge/merge_entries.h"
#include "tiling/merge/moving_boxes.h"

namespace cytodet::tiling {
namespace {

struct Fused {
  Box weighted;  // sum of score * corner
  double scores = 0;
  int boxes = 0;

  void add(const Detection& d) {
    const double s = static_cast<double>(d.score);
    weighted = {weighted.x0 + s * d.box.x0, weighted.y0 + s * d.box.y0, weighted.x1 + s * d.box.x1, weighted.y1 + s * d.box.y1};
    scores += s;
    ++boxes;
  }
  Box mean() const { return {weighted.x0 / scores, weighted.y0 / scores, weighted.x1 / scores, weighted.y1 / scores}; }
};

void fuse(std::span<const TileDetection> ranked, const MergeSettings& s, Detections& out) {
  const Overlap overlap{Overlap::Of::both, s.iou};
  const size_t first = out.size();
  std::vector<Fused> fused;
  MovingBoxes index;
  for (const TileDetection& d : ranked) {
    size_t best = fused.size();
    double max = 0;
    index.each(d.detection.box, overlap, [&](size_t id) {
      const double o = iou(d.detection.box, index[id]);
      if (o < max || (o == max && id > best)) return;
      max = o;
      best = id;
    });
    if (best == fused.size()) {
      fused.emplace_back();
      out.push_back(d.detection);
    }
    fused[best].add(d.detection);
    const bool moves = fused[best].boxes > 1 && fused[best].scores > 0;
    index.put(best, moves ? fused[best].mean() : out[first + best].box);
  }
  for (size_t i = 0; i < fused.size(); ++i) {
    out[first + i].box = index[i];
    if (s.wbf_score == WbfScore::avg)
      out[first + i].score = static_cast<float>(fused[i].scores / fused[i].boxes * std::min(s.wbf_models, fused[i].boxes) /
                                                static_cast<double>(s.wbf_models));
  }
}

}  // namespace

Detections merge_wbf(std::vector<TileDetection> all, const MergeSettings& s) {
  Detections out;
  for (const auto& group : ranked_groups(all, s)) fuse(group, s, out);
  return out;
}

}  // namespace cytodet::tiling
