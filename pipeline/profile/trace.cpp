#include "pipeline/profile/trace.h"

#include <algorithm>
#include <cstdio>

#include "core/settings.h"
#include "pipeline/report/svg.h"

namespace cytodet::pipeline {
namespace {

std::vector<std::string> path_of(const std::string& name) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= name.size();) {
    size_t end = std::min(name.find('/', at), name.size());
    parts.push_back(name.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// One hue per kernel, the same in every image.
std::string colour(const std::string& kernel) {
  unsigned hash = 2166136261u;
  for (char c : kernel) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return "hsl(" + std::to_string(hash % 360) + ",60%,75%)";
}

constexpr double kWidth = 1600, kRow = 20, kTop = 30;

// A rectangle with as much of the label as it holds.
void box(Svg& svg, double x, double y, double width, const std::string& fill, const std::string& label, const std::string& tip) {
  svg.rect(x, y, std::max(width, 0.05), kRow - 1, "fill=\"" + fill + "\"", tip);
  const size_t letters = static_cast<size_t>(std::max(0.0, width / 7));
  if (letters >= 3) svg.text({x + 3, y + 14}, label.size() <= letters ? label : label.substr(0, letters - 1) + "~");
}

}  // namespace

std::vector<Frame> frames_of(const LayerTable& table) {
  std::vector<Frame> frames{{"network", 0, 0, table.total_ms(), -1}};
  std::vector<size_t> open;  // frames of the scopes around the step before, outermost first
  double now = 0;
  for (size_t i = 0; i < table.steps.size(); ++i) {
    std::vector<std::string> path = path_of(table.steps[i].name);
    size_t shared = 0;
    while (shared < open.size() && shared + 1 < path.size() && frames[open[shared]].name == path[shared]) ++shared;
    open.resize(shared);
    for (size_t d = shared; d + 1 < path.size(); ++d) {
      open.push_back(frames.size());
      frames.push_back({path[d], static_cast<int>(d) + 1, now, 0, -1});
    }
    for (size_t f : open) frames[f].ms += table.ms[i];
    frames.push_back({path.back(), static_cast<int>(path.size()), now, table.ms[i], static_cast<int>(i)});
    now += table.ms[i];
  }
  return frames;
}

Json trace_json(const LayerTable& table) {
  Json layers = layers_json(table);
  Json events = Json::array();
  events.push_back({{"name", "process_name"}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", "cytodet"}}}});
  for (const Frame& f : frames_of(table)) {
    Json event{{"name", f.name},     {"cat", "scope"}, {"ph", "X"}, {"ts", f.start_ms * 1000},
               {"dur", f.ms * 1000}, {"pid", 1},       {"tid", 1},  {"args", Json::object()}};
    if (f.step >= 0) {
      event["args"] = layers["layers"][static_cast<size_t>(f.step)];
      event["cat"] = event["args"]["kernel"];
    }
    events.push_back(std::move(event));
  }
  return {{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}};
}

std::string flame_svg(const LayerTable& table, const std::string& title) {
  Json layers = layers_json(table);
  const double total = std::max(table.total_ms(), 1e-9);
  std::vector<Frame> frames = frames_of(table);
  int depth = 0;
  for (const Frame& f : frames) depth = std::max(depth, f.depth);
  char text[300];
  double y = kTop + (depth + 2) * kRow;
  Svg svg(kWidth, y + kRow * static_cast<double>(layers["kinds"].size() + 1), Svg::Place::file,
          "font-family=\"monospace\" font-size=\"11\"");
  std::snprintf(text, sizeof text, ": %.3f ms", table.total_ms());
  svg.text({4, 18}, title + text, "font-size=\"14\"");
  for (const Frame& f : frames) {
    std::string fill = "#e4e4e4", label = f.name, tip = f.name;
    if (f.step >= 0) {
      const Json& l = layers["layers"][static_cast<size_t>(f.step)];
      const StepInfo& s = table.steps[static_cast<size_t>(f.step)];
      fill = colour(s.kernel);
      label = s.kernel;
      tip = s.name + "\n" + s.kernel + " " + to_string(s.shape);
      std::snprintf(text, sizeof text, "\n%.1f GMAC/s, %.2f GB/s, %.1f%% of peak", l["gmacs_per_s"].get<double>(),
                    l["gb_per_s"].get<double>(), 100 * l["share_of_peak"].get<double>());
      tip += text;
    }
    std::snprintf(text, sizeof text, "\n%.3f ms, %.1f%%", f.ms, 100 * f.ms / total);
    box(svg, f.start_ms / total * kWidth, kTop + f.depth * kRow, f.ms / total * kWidth, fill, label, tip + text);
  }
  for (const Json& k : layers["kinds"]) {
    std::string kernel = k["kernel"];
    std::snprintf(text, sizeof text, " %.3f ms, %.1f%%, %.1f GMAC/s, %.1f%% of peak", k["ms"].get<double>(),
                  100 * k["share"].get<double>(), k["gmacs_per_s"].get<double>(), 100 * k["share_of_peak"].get<double>());
    box(svg, 0, y, kRow, colour(kernel), "", kernel);
    svg.text({28, y + 14}, kernel + text);
    y += kRow;
  }
  return svg.finish();
}

}  // namespace cytodet::pipeline
