#include "pipeline/view/view_server.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/settings.h"
#include "eval/class_outcomes.h"
#include "pipeline/view/pages.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/region.h"
#include "tiling/tiles/tile_reading.h"

namespace cytodet::pipeline {
namespace {

constexpr int kQuality = 85;

// Digits only, at most nine; -1 for anything else.
int64_t number(std::string_view s) {
  int64_t v = -1;
  if (s.empty() || s.size() > 9 || s[0] == '-') return -1;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  return error == std::errc() && end == s.data() + s.size() ? v : -1;
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; parts.size() < 8;) {
    const size_t end = path.find('/', at);
    parts.push_back(path.substr(at, end == std::string_view::npos ? end : end - at));
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  return parts;
}

HttpReply bytes(std::string_view type, std::shared_ptr<const std::string> body, bool lasting) {
  return {200, std::string(type), std::move(body), lasting};
}

HttpReply nothing() { return HttpReply::text(404, "no such page"); }

}  // namespace

std::shared_ptr<const std::string> ByteCache::get(const std::string& key) {
  std::lock_guard lock(mutex_);
  const auto* known = kept_.get(key);
  return known ? *known : nullptr;
}

void ByteCache::put(const std::string& key, std::shared_ptr<const std::string> value) {
  std::lock_guard lock(mutex_);
  if (kept_.get(key)) return;
  const size_t bytes = value->size();
  kept_.put(key, std::move(value), bytes);
}

std::string pack_boxes(const Detections& detections) {
  static_assert(std::endian::native == std::endian::little);
  const size_t n = detections.size();
  std::string out(8 + n * (5 * sizeof(float) + sizeof(uint16_t)), '\0');
  const auto count = static_cast<uint32_t>(n);
  std::memcpy(out.data(), "CYB1", 4);
  std::memcpy(out.data() + 4, &count, 4);
  char* at = out.data() + 8;
  const auto column = [&](auto value) {
    for (const Detection& d : detections) {
      const auto v = value(d);
      std::memcpy(at, &v, sizeof v);
      at += sizeof v;
    }
  };
  column([](const Detection& d) { return static_cast<float>(d.box.x0); });
  column([](const Detection& d) { return static_cast<float>(d.box.y0); });
  column([](const Detection& d) { return static_cast<float>(d.box.x1); });
  column([](const Detection& d) { return static_cast<float>(d.box.y1); });
  column([](const Detection& d) { return d.score; });
  column([](const Detection& d) { return static_cast<uint16_t>(d.category); });
  return out;
}

std::string pack_truth(const Detections& detections, const std::vector<TruthBox>& truth, size_t classes) {
  GroundTruth all;
  DetectionSet set;
  all.images.emplace_back();
  for (size_t c = 0; c < classes; ++c) all.categories.push_back({static_cast<int64_t>(c) + 1, "", ""});
  const auto append = [](std::vector<double>& boxes, const Box& b) {
    boxes.insert(boxes.end(), {b.x0, b.y0, b.width(), b.height()});
  };
  for (const TruthBox& t : truth) {
    all.image.push_back(0);
    all.category.push_back(t.category);
    append(all.boxes, t.box);
    all.areas.push_back(t.box.area());
    all.crowd.push_back(t.crowd);
    all.ids.push_back(static_cast<int64_t>(all.ids.size()) + 1);
  }
  for (const Detection& d : detections) {
    set.image.push_back(0);
    set.category.push_back(d.category);
    append(set.boxes, d.box);
    set.scores.push_back(static_cast<double>(d.score));
  }
  const std::vector<ClassOutcomes> outcomes = find_class_outcomes(all, set);
  std::string out = "CYT1";
  const auto number = [&](size_t n) {
    const auto v = static_cast<uint32_t>(n);
    out.append(reinterpret_cast<const char*>(&v), sizeof v);
  };
  number(detections.size());
  number(classes);
  for (const ClassOutcomes& c : outcomes) number(static_cast<size_t>(c.truth_count));
  std::string right(detections.size(), '\2');
  for (const ClassOutcomes& c : outcomes)
    for (const ScoredOutcome& d : c.detections) right[static_cast<size_t>(d.detection)] = d.right() ? '\1' : '\0';
  return out + right;
}

ViewServer::ViewServer(std::string title, std::vector<ViewSlide> slides, Classes classes, Boxes boxes, CountingScores counting)
    : title_(std::move(title)),
      slides_(std::move(slides)),
      classes_(std::move(classes)),
      read_boxes_(std::move(boxes)),
      counting_(std::move(counting)) {}

int ViewServer::zooms(const ViewSlide& s) {
  int n = 1;
  for (int64_t side = std::max(s.width, s.height); side > kTile; side = (side + 1) / 2) ++n;
  return n;
}

Json ViewServer::slides_json() const {
  Json j{{"title", title_}, {"tile", kTile}};
  j["classes"] = Json::array();
  for (size_t c = 0; c < classes_.all().size(); ++c)
    j["classes"].push_back({{"name", classes_.all()[c].name},
                            {"color", class_colour(static_cast<int>(c))},
                            {"score", c < counting_.scores.size() ? counting_.scores[c] : 0}});
  j["boxes_count"] = text_of(counting_, classes_.names());
  j["truth"] = static_cast<bool>(read_truth_);
  j["slides"] = Json::array();
  for (const ViewSlide& s : slides_)
    j["slides"].push_back({{"name", s.name},
                           {"width", s.width},
                           {"height", s.height},
                           {"mpp", s.mpp ? Json(*s.mpp) : Json(nullptr)},
                           {"mpp_y", s.mpp_y ? Json(*s.mpp_y)
                                     : s.mpp ? Json(*s.mpp)
                                             : Json(nullptr)},
                           {"bounds", s.bounds ? Json::array({s.bounds->x, s.bounds->y, s.bounds->width, s.bounds->height})
                                               : Json::array({0, 0, s.width, s.height})},
                           {"zooms", zooms(s)},
                           {"boxes", s.boxes},
                           {"pixels", !s.path.empty()},
                           {"state", s.state ? name_of(*s.state) : ""},
                           {"reason", s.reason}});
  return j;
}

std::shared_ptr<const Slide> ViewServer::open(size_t slide) {
  std::lock_guard lock(open_mutex_);
  if (const auto* known = open_.get(slide)) return *known;
  return open_.put(slide, with_damage_filled(open_slide(slides_[slide].path, slides_[slide].selection)));
}

HttpReply ViewServer::tile(size_t slide, int zoom, int64_t x, int64_t y) {
  const ViewSlide& s = slides_[slide];
  if (s.path.empty() || zoom >= zooms(s)) return nothing();
  const int64_t step = int64_t{1} << zoom, side = kTile * step;
  if (x * side >= s.width || y * side >= s.height) return nothing();
  const std::string key = std::to_string(slide) + "/" + std::to_string(zoom) + "/" + std::to_string(x) + "/" + std::to_string(y);
  if (auto known = tiles_.get(key)) return bytes("image/jpeg", known, true);
  const int64_t x1 = std::min(s.width, (x + 1) * side), y1 = std::min(s.height, (y + 1) * side);
  const Box area{static_cast<double>(x * side), static_cast<double>(y * side), static_cast<double>(x1), static_cast<double>(y1)};
  const auto pixels = [&](int64_t length) { return static_cast<int>((length + step - 1) / step); };
  const Image image = read_scaled(*open(slide), area, pixels(x1 - x * side), pixels(y1 - y * side), &stop_);
  auto body = std::make_shared<const std::string>(encode_image(image, true, kQuality));
  tiles_.put(key, body);
  return bytes("image/jpeg", body, true);
}

HttpReply ViewServer::boxes(size_t slide) {
  const std::string key = std::to_string(slide);
  std::lock_guard lock(boxes_mutex_);
  auto body = box_bytes_.get(key);
  if (!body) {
    body = std::make_shared<const std::string>(pack_boxes(read_boxes_(slide)));
    box_bytes_.put(key, body);
  }
  return bytes("application/octet-stream", body, false);
}

HttpReply ViewServer::truth(size_t slide) {
  if (!read_truth_) return nothing();
  const std::string key = std::to_string(slide) + "/truth";
  std::lock_guard lock(boxes_mutex_);
  auto body = box_bytes_.get(key);
  if (!body) {
    body = std::make_shared<const std::string>(read_truth_(slide));
    box_bytes_.put(key, body);
  }
  return bytes("application/octet-stream", body, false);
}

HttpReply ViewServer::answer(std::string_view path) {
  for (const Page& p : pages())
    if (path == p.path) return bytes(p.type, std::make_shared<const std::string>(p.text), false);
  if (path == "slides.json")
    return bytes("application/json", std::make_shared<const std::string>(json_line(slides_json())), false);
  const std::vector<std::string_view> parts = split(path);
  const int64_t slide = number(parts[0]);
  if (slide < 0 || slide >= static_cast<int64_t>(slides_.size())) return nothing();
  if (parts.size() == 2 && parts[1] == "boxes") return boxes(static_cast<size_t>(slide));
  if (parts.size() == 2 && parts[1] == "truth") return truth(static_cast<size_t>(slide));
  if (parts.size() != 5 || parts[1] != "tile") return nothing();
  const int64_t zoom = number(parts[2]), x = number(parts[3]), y = number(parts[4]);
  if (zoom < 0 || zoom > 40 || x < 0 || y < 0) return nothing();
  return tile(static_cast<size_t>(slide), static_cast<int>(zoom), x, y);
}

}  // namespace cytodet::pipeline
