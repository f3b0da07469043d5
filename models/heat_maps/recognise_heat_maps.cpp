#include "models/heat_maps/recognise_heat_maps.h"

#include <algorithm>

#include "core/settings.h"
#include "models/recognition_parts.h"

namespace cytodet::models {
namespace {

const std::vector<std::string> kHeatWords = {"hm", "heat", "heatmap", "heat_map", "heatmaps", "center_heatmap", "centre_map"},
                               kSizeWords = {"wh", "size", "sizes", "box_size", "scale", "ltrb"},
                               kOffsetWords = {"reg", "off", "offset", "offsets", "center_offset"};

struct Maps {
  const Port *heat = nullptr, *size = nullptr, *offset = nullptr;
  bool channels_first = false;
  int64_t channels(const Port& p) const { return p.dim(channels_first ? 1 : 3); }
};

// Whether height and width, at dimensions `at` and `at` + 1, are those of the input divided by one stride of 1 to 32.
bool is_map_of(const Port& p, int at, const InputSize& input) {
  if (!p.is_rank(4) || p.dim(at) < 1 || p.dim(at + 1) < 1 || input.width < 1) return false;
  const int64_t stride = input.width / p.dim(at + 1);
  return stride >= 1 && stride <= 32 && p.dim(at) * stride == input.height && p.dim(at + 1) * stride == input.width;
}

// Maps of one size by their names, and which dimension holds their channels; no heat map where they are none.
Maps maps_of(const NetworkDescription& n, const ImportAnswers& a) {
  if (n.outputs.empty() || n.outputs.size() > 3) return {};
  Maps m{output_with(n, kHeatWords, true), output_with(n, kSizeWords, true), output_with(n, kOffsetWords, true)};
  if (!m.heat && n.outputs.size() == 1 && a.radius) m.heat = &n.outputs[0];
  if (!m.heat) return {};
  const InputSize input = size_of_input(n, a);
  const auto fit = [&](int at) {
    return std::all_of(n.outputs.begin(), n.outputs.end(), [&](const Port& p) {
      return is_map_of(p, at, input) && p.dim(at) == m.heat->dim(at) && p.dim(at + 1) == m.heat->dim(at + 1);
    });
  };
  m.channels_first = !fit(1);
  return !m.channels_first || fit(2) ? m : Maps{};
}

bool gives_two(const Maps& m, const Port* p) { return !p || m.channels(*p) == 2; }

bool is_centernet(const NetworkDescription& n, const ImportAnswers& a) {
  const Maps m = maps_of(n, a);
  return m.heat && m.size && gives_two(m, m.offset) && (m.channels(*m.size) == 2 || m.channels(*m.size) == 4);
}
bool is_centres(const NetworkDescription& n, const ImportAnswers& a) {
  const Maps m = maps_of(n, a);
  return m.heat && !m.size && gives_two(m, m.offset) && n.outputs.size() == size_t{1} + (m.offset != nullptr);
}

// Probabilities lie within 0 and 1 for any image; logits of networks that find little are far below 0.
void tell_score_form(const Tensor& heat, Recognition& to) {
  if (heat.dtype() != DType::f32) return;
  const std::span values(heat.data<float>(), static_cast<size_t>(heat.size()));
  const bool logits = std::any_of(values.begin(), values.end(), [](float v) { return v < 0 || v > 1; });
  to.model["score_form"] = logits ? "sigmoid" : "probability";
  to.findings.push_back({logits ? "scores as logits" : "scores as probabilities", "what the network gives for a gray image"});
}

void describe_maps(const NetworkDescription& n, const ImportAnswers& a, Recognition& to) {
  const Maps m = maps_of(n, a);
  to.model["family"] = "heat_maps";
  Json& outputs = to.model["outputs"];
  outputs["heat_map"] = m.heat->name;
  if (m.size) outputs["size"] = m.size->name;
  if (m.offset) outputs["offset"] = m.offset->name;
  to.model["layout"] = m.channels_first ? "channels_first" : "channels_last";
  to.findings.push_back({"scores " + m.heat->name + " " + to_string(m.heat->shape) +
                             (m.size ? ", sizes " + m.size->name + " " + to_string(m.size->shape) : "") +
                             (m.offset ? ", offsets " + m.offset->name + " " + to_string(m.offset->shape) : ""),
                         "the outputs' names and shapes"});
  to.look_at = tell_score_form;
  find_input(n, a, to);
}

// Sizes are in cells of the map in the authors' code and in what follows it; --box-unit pixels says otherwise.
void describe_centernet(const NetworkDescription& n, const ImportAnswers& a, Recognition& to) {
  const Maps m = maps_of(n, a);
  describe_maps(n, a, to);
  if (m.channels(*m.size) == 4) to.model["size_form"] = "distances";
  if (a.box_unit == "pixels") to.model["size_unit"] = "pixels";
  to.findings.push_back({a.box_unit == "pixels" ? "sizes in pixels" : "sizes in cells of the map",
                         a.box_unit.empty() ? "custom of CenterNet" : "--box-unit"});
  set_pixels({"how CenterNet is trained on COCO", "BGR", 255, {0.408, 0.447, 0.470}, {0.289, 0.274, 0.278}}, a, to);
  find_classes(n, a, m.channels(*m.heat), to);
}

void describe_centres(const NetworkDescription& n, const ImportAnswers& a, Recognition& to) {
  const Maps m = maps_of(n, a);
  describe_maps(n, a, to);
  if (a.radius)
    to.model["radius"] = *a.radius;
  else
    to.questions.push_back({"--radius R", "how large an object is, in pixels of the input, is not in the file"});
  set_stated_pixels(a, to);
  find_classes(n, a, m.channels(*m.heat), to);
}

}  // namespace

std::vector<Recogniser> heat_map_recognisers() {
  return {
      {"centernet", "CenterNet and its like", "maps of one size: heat map (hm, heat), sizes (wh, size) and offsets (reg, offset)",
       false, is_centernet, describe_centernet},
      {"centres", "networks that give the centres of cells",
       "a heat map (hm, heat; with --radius, of any name), perhaps offsets (reg, offset)", false, is_centres, describe_centres},
  };
}

}  // namespace cytodet::models
