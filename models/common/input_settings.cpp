#include "models/common/input_settings.h"

#include <algorithm>

#include "core/enum_names.h"
#include "core/settings.h"
#include "models/common/need.h"

namespace cytodet::models {
namespace {

constexpr EnumName<Placement> kPlacements[] = {{Placement::top_left, "top_left"},
                                               {Placement::center, "center"},
                                               {Placement::stretch, "stretch"},
                                               {Placement::image, "image"}};

}  // namespace

void fields(Fields& f, InputSettings& s) {
  f("node", s.node);
  f("width", s.width);
  f("height", s.height);
  f("pixel_order", s.pixel_order);
  f.unless(255.0, "divisor", s.divisor);
  f("mean", s.mean);
  f("deviation", s.deviation);
  std::string placement = name_in(kPlacements, s.placement);
  f.unless(std::string("top_left"), "placement", placement);
  s.placement = value_named(kPlacements, placement, "input.placement", "placement");
  f.unless(std::optional<int>(), "fill", s.fill);
  f.unless(std::string(), "size_node", s.size_node);
}

void check(const InputSettings& s, const std::string& where) {
  need(s.width > 0 && s.width <= 16384, "input.width", "must be 1 to 16384", where);
  need(s.height > 0 && s.height <= 16384, "input.height", "must be 1 to 16384", where);
  need(s.pixel_order == "RGB" || s.pixel_order == "BGR", "input.pixel_order", "must be RGB or BGR", where);
  need(s.divisor > 0, "input.divisor", "must be positive", where);
  need(s.mean.size() == 3, "input.mean", "must have three numbers", where);
  need(s.deviation.size() == 3 && *std::min_element(s.deviation.begin(), s.deviation.end()) > 0, "input.deviation",
       "must have three positive numbers", where);
  need(!s.fill || (*s.fill >= 0 && *s.fill <= 255), "input.fill", "must be 0 to 255", where);
  need(s.size_node.empty() || s.size_node != s.node, "input.size_node", "must be another node than input.node", where);
}

int longest_whole_side(const InputSettings& s) {
  constexpr int kPhotograph = 2048;  // pixels
  const int twice = 2 * std::max(s.width, s.height);
  return s.placement == Placement::stretch || s.placement == Placement::image ? std::max(twice, kPhotograph) : twice;
}

ChannelScale channel_scale(const InputSettings& s) {
  ChannelScale scale;
  for (size_t c = 0; c < 3; ++c) {
    scale.factor[c] = static_cast<float>(1 / (s.divisor * s.deviation[c]));
    scale.offset[c] = static_cast<float>(-s.mean[c] / s.deviation[c]);
  }
  return scale;
}

}  // namespace cytodet::models
