#include "tiling/regions/roi.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/hash.h"

namespace cytodet::tiling {
namespace {

// Whether the segment and the closed box have a point in common (Liang and Barsky, 1984).
bool crosses(double x0, double y0, double x1, double y1, const Box& b) {
  double from = 0, to = 1;
  auto clip = [&](double direction, double distance) {
    if (direction == 0) return distance >= 0;
    const double t = distance / direction;
    if (direction < 0)
      from = std::max(from, t);
    else
      to = std::min(to, t);
    return from <= to;
  };
  const double dx = x1 - x0, dy = y1 - y0;
  return clip(-dx, x0 - b.x0) && clip(dx, b.x1 - x0) && clip(-dy, y0 - b.y0) && clip(dy, b.y1 - y0);
}

bool apart(const Box& a, const Box& b) { return a.x1 < b.x0 || b.x1 < a.x0 || a.y1 < b.y0 || b.y1 < a.y0; }

}  // namespace

std::optional<Roi::Polygon> Roi::polygon_of(const std::vector<Ring>& rings) {
  Polygon p;
  p.bounds = {INFINITY, INFINITY, -INFINITY, -INFINITY};
  for (const Ring& ring : rings)
    for (size_t i = 0; i < ring.size(); ++i) {
      const Point &a = ring[i], &b = ring[(i + 1) % ring.size()];
      if (a != b) p.edges.push_back({a[0], a[1], b[0], b[1]});
      p.bounds = {std::min(p.bounds.x0, a[0]), std::min(p.bounds.y0, a[1]), std::max(p.bounds.x1, a[0]),
                  std::max(p.bounds.y1, a[1])};
    }
  if (p.edges.empty()) return {};
  index(p);
  return p;
}

void Roi::index(Polygon& p) {
  // Bands only as fine as keeps their lists within a few times the edges.
  for (size_t count = std::clamp<size_t>(p.edges.size() / 4, 1, 4096);; count /= 2) {
    p.bands.assign(count, {});
    size_t entries = 0;
    for (size_t i = 0; i < p.edges.size() && entries <= 16 * p.edges.size(); ++i) {
      const Edge& e = p.edges[i];
      const size_t first = p.band(std::min(e.y0, e.y1)), last = p.band(std::max(e.y0, e.y1));
      for (size_t b = first; b <= last; ++b) p.bands[b].push_back(static_cast<uint32_t>(i));
      entries += last - first + 1;
    }
    if (entries <= 16 * p.edges.size() || count == 1) break;
  }
}

void Roi::add(const std::vector<Ring>& rings) {
  if (std::optional<Polygon> p = polygon_of(rings)) polygons_.push_back(std::move(*p));
}

void Roi::subtract(const std::vector<Ring>& rings) {
  if (std::optional<Polygon> p = polygon_of(rings)) holes_.push_back(std::move(*p));
}

void Roi::add(const Box& b) { add({Ring{{b.x0, b.y0}, {b.x1, b.y0}, {b.x1, b.y1}, {b.x0, b.y1}}}); }

void Roi::move(double dx, double dy) {
  for (std::vector<Polygon>* all : {&polygons_, &holes_})
    for (Polygon& p : *all) {
      for (Edge& e : p.edges) e = {e.x0 + dx, e.y0 + dy, e.x1 + dx, e.y1 + dy};
      p.bounds = {p.bounds.x0 + dx, p.bounds.y0 + dy, p.bounds.x1 + dx, p.bounds.y1 + dy};
      index(p);
    }
}

void Roi::to_slide_frame(const std::optional<PixelArea>& bounds, Origin origin) {
  if (frame == RoiFrame::slide) return;
  frame = RoiFrame::slide;
  const auto [dx, dy] = frame_corner(bounds, origin);
  if (dx != 0 || dy != 0) move(dx, dy);
}

size_t Roi::Polygon::band(double y) const {
  const double height = bounds.y1 - bounds.y0, share = height > 0 ? (y - bounds.y0) / height : 0;
  return static_cast<size_t>(std::clamp(share * static_cast<double>(bands.size()), 0.0, static_cast<double>(bands.size() - 1)));
}

bool Roi::inside(const Polygon& p, double x, double y) {
  if (x < p.bounds.x0 || x > p.bounds.x1 || y < p.bounds.y0 || y > p.bounds.y1) return false;
  bool odd = false;
  for (uint32_t i : p.bands[p.band(y)]) {
    const Edge& e = p.edges[i];
    if ((e.y0 <= y) != (e.y1 <= y) && x < e.x0 + (y - e.y0) / (e.y1 - e.y0) * (e.x1 - e.x0)) odd = !odd;
  }
  return odd;
}

bool Roi::contains(double x, double y) const {
  const auto holds_point = [&](const Polygon& p) { return inside(p, x, y); };
  return std::any_of(polygons_.begin(), polygons_.end(), holds_point) && std::none_of(holes_.begin(), holes_.end(), holds_point);
}

bool Roi::crosses_edge(const Polygon& p, const Box& box) {
  if (apart(p.bounds, box)) return false;
  for (size_t b = p.band(box.y0), last = p.band(box.y1); b <= last; ++b)
    for (uint32_t i : p.bands[b])
      if (const Edge& e = p.edges[i]; crosses(e.x0, e.y0, e.x1, e.y1, box)) return true;
  return false;
}

bool Roi::touches(const Box& box) const {
  const double x = (box.x0 + box.x1) / 2, y = (box.y0 + box.y1) / 2;
  const auto covers = [&](const Polygon& p) { return inside(p, x, y) && !crosses_edge(p, box); };
  return std::any_of(polygons_.begin(), polygons_.end(),
                     [&](const Polygon& p) { return crosses_edge(p, box) || inside(p, x, y); }) &&
         std::none_of(holes_.begin(), holes_.end(), covers);
}

std::string Roi::hash() const {
  Hash h;
  if (frame == RoiFrame::viewer) h.add("viewer");
  for (const Polygon& p : polygons_) h.add({reinterpret_cast<const char*>(p.edges.data()), p.edges.size() * sizeof(Edge)});
  if (!holes_.empty()) h.add("without");
  for (const Polygon& p : holes_) h.add({reinterpret_cast<const char*>(p.edges.data()), p.edges.size() * sizeof(Edge)});
  return h.text();
}

}  // namespace cytodet::tiling
