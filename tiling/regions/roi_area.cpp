// Areas of regions: a sweep down the slide in slabs. In a slab no edge begins or ends, so that the covered length changes
// linearly and its value in the middle, times the slab's height, is the area.
#include <algorithm>
#include <cmath>

#include "tiling/regions/roi.h"

namespace cytodet::tiling {
namespace {

constexpr double kWork = 3e7;            // edges looked at in all
constexpr size_t kMaxSlabs = 65536;      // with those that vertices ask for
constexpr size_t kCrossingSlabs = 8192;  // where polygons may cross between vertices

struct Span {
  double from, to;
};

// Sorted, and joined where they overlap.
void unite(std::vector<Span>& spans) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.from < b.from; });
  size_t n = 0;
  for (const Span& s : spans) {
    if (n > 0 && s.from <= spans[n - 1].to)
      spans[n - 1].to = std::max(spans[n - 1].to, s.to);
    else
      spans[n++] = s;
  }
  spans.resize(n);
}

// The parts of `a` outside `holes`; both are sorted and free of overlaps.
std::vector<Span> without(const std::vector<Span>& a, const std::vector<Span>& holes) {
  std::vector<Span> left;
  size_t j = 0;
  for (Span s : a) {
    while (j < holes.size() && holes[j].to <= s.from) ++j;
    for (size_t k = j; k < holes.size() && holes[k].from < s.to; ++k) {
      if (holes[k].from > s.from) left.push_back({s.from, holes[k].from});
      s.from = std::max(s.from, holes[k].to);
    }
    if (s.from < s.to) left.push_back(s);
  }
  return left;
}

// The length of what `a` and `b` share; both are sorted and free of overlaps.
double common_length(const std::vector<Span>& a, const std::vector<Span>& b) {
  double length = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    length += std::max(0.0, std::min(a[i].to, b[j].to) - std::max(a[i].from, b[j].from));
    if (a[i].to < b[j].to)
      ++i;
    else
      ++j;
  }
  return length;
}

// Items that lie over the sweep's line: begin <= y < end. Lines come in rising order.
template <typename Item, typename Bounds>
class Active {
 public:
  Active(std::vector<const Item*> items, Bounds bounds) : items_(std::move(items)), bounds_(bounds) {
    std::sort(items_.begin(), items_.end(), [&](auto a, auto b) { return bounds_(*a).y0 < bounds_(*b).y0; });
  }
  const std::vector<const Item*>& at(double y) {
    for (; next_ < items_.size() && bounds_(*items_[next_]).y0 <= y; ++next_) active_.push_back(items_[next_]);
    std::erase_if(active_, [&](auto item) { return bounds_(*item).y1 <= y; });
    return active_;
  }

 private:
  std::vector<const Item*> items_, active_;
  Bounds bounds_;
  size_t next_ = 0;
};

}  // namespace

class Roi::AreaSweep {
 public:
  AreaSweep(const Roi& roi, const Box& clip, std::span<const Box> only, bool any_box) : clip_(clip), any_box_(any_box) {
    for (const Polygon& p : roi.polygons_) polygons_.push_back(&p);
    for (const Polygon& p : roi.holes_) holes_.push_back(&p);
    for (const Box& b : only) boxes_.push_back(&b);
  }

  double area() {
    if (!(clip_.x0 < clip_.x1 && clip_.y0 < clip_.y1)) return 0;
    const std::vector<double> lines = slab_lines();
    Active polygons(polygons_, [](const Polygon& p) -> const Box& { return p.bounds; });
    Active holes(holes_, [](const Polygon& p) -> const Box& { return p.bounds; });
    Active boxes(boxes_, [](const Box& b) -> const Box& { return b; });
    std::vector<Span> in_region, in_hole, in_box;
    double total = 0;
    for (size_t i = 0; i + 1 < lines.size(); ++i) {
      const double y = (lines[i] + lines[i + 1]) / 2;
      in_region.clear();
      for (const Polygon* p : polygons.at(y)) add_spans(*p, y, in_region);
      unite(in_region);
      in_hole.clear();
      for (const Polygon* p : holes.at(y)) add_spans(*p, y, in_hole);
      unite(in_hole);
      if (!in_hole.empty()) in_region = without(in_region, in_hole);
      in_box.clear();
      if (any_box_)
        in_box.push_back({clip_.x0, clip_.x1});
      else
        for (const Box* b : boxes.at(y)) in_box.push_back({std::max(clip_.x0, b->x0), std::min(clip_.x1, b->x1)});
      unite(in_box);
      total += (lines[i + 1] - lines[i]) * common_length(in_region, in_box);
    }
    return std::round(total * 1000) / 1000;
  }

 private:
  // Adds the spans [x0, x1) of the horizontal line at y that lie inside the polygon, by the even-odd rule.
  void add_spans(const Polygon& p, double y, std::vector<Span>& spans) {
    crossings_.clear();
    for (uint32_t i : p.bands[p.band(y)]) {
      const Edge& e = p.edges[i];
      if ((e.y0 <= y) != (e.y1 <= y)) crossings_.push_back(e.x0 + (y - e.y0) / (e.y1 - e.y0) * (e.x1 - e.x0));
    }
    std::sort(crossings_.begin(), crossings_.end());
    for (size_t i = 0; i + 1 < crossings_.size(); i += 2) spans.push_back({crossings_[i], crossings_[i + 1]});
  }

  // Lines between slabs: ends of boxes always; vertices where that many slabs are affordable; and even ones, where an edge is not
  // upright and might cross another between two vertices.
  std::vector<double> slab_lines() const {
    const double height = clip_.y1 - clip_.y0;
    double edges_at_once = 1;
    size_t vertices = 0;
    bool slanted = false;
    std::vector<const Polygon*> all = polygons_;
    all.insert(all.end(), holes_.begin(), holes_.end());
    for (const Polygon* p : all) {
      vertices += p->edges.size();
      for (const Edge& e : p->edges) {
        edges_at_once += std::min(1.0, std::abs(e.y1 - e.y0) / height);
        slanted |= e.x0 != e.x1 && e.y0 != e.y1;
      }
    }
    const auto affordable = static_cast<size_t>(std::clamp(kWork / edges_at_once, 256.0, static_cast<double>(kMaxSlabs)));
    std::vector<double> lines{clip_.y0, clip_.y1};
    for (const Box* b : boxes_) lines.insert(lines.end(), {b->y0, b->y1});
    if (vertices <= affordable)
      for (const Polygon* p : all)
        for (const Edge& e : p->edges) lines.push_back(e.y0);
    if (const size_t even = vertices > affordable ? affordable : std::min(affordable, kCrossingSlabs);
        slanted || vertices > affordable)
      for (size_t i = 1; i < even; ++i) lines.push_back(clip_.y0 + height * static_cast<double>(i) / static_cast<double>(even));
    std::erase_if(lines, [&](double y) { return !(y >= clip_.y0 && y <= clip_.y1); });
    std::sort(lines.begin(), lines.end());
    lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
    return lines;
  }

  Box clip_;
  bool any_box_;
  std::vector<const Polygon*> polygons_, holes_;
  std::vector<const Box*> boxes_;
  std::vector<double> crossings_;
};

double Roi::area(const Box& clip) const { return AreaSweep(*this, clip, {}, true).area(); }

double Roi::area(const Box& clip, std::span<const Box> only) const { return AreaSweep(*this, clip, only, false).area(); }

}  // namespace cytodet::tiling
