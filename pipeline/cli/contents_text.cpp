#include "pipeline/cli/contents_text.h"

#include "core/settings.h"
#include "core/text_width.h"

namespace cytodet::pipeline {
namespace {

constexpr size_t kMaxListed = 64;

std::string line(const std::string& word, const std::string& text) {
  std::string start = "  " + word;
  start.resize(std::max<size_t>(12, start.size() + 1), ' ');
  return start + printable(text) + "\n";
}

std::string counted(int n, const char* one, const char* many) { return std::to_string(n) + " " + (n == 1 ? one : many); }

}  // namespace

std::string contents_text(const SlideContents& c) {
  if (c.kind.empty()) return {};
  std::string text = c.kind;
  if (c.pages > 1) text += ", " + counted(c.pages, "page", "pages");
  if (c.series > 1) text += ", " + std::to_string(c.series) + " series";
  if (c.channels > 1) text += ", " + std::to_string(c.channels) + " channels";
  std::string names;
  for (const std::string& n : c.channel_names) names += (names.empty() ? "" : ", ") + n;
  if (names.find_first_not_of(", ") != std::string::npos) text += " (" + names + ")";
  if (c.planes > 1) text += ", " + std::to_string(c.planes) + " focal planes";
  if (c.times > 1) text += ", " + std::to_string(c.times) + " points in time";
  text = line("holds", text);
  for (size_t i = 0; i < c.others.size() && i < kMaxListed; ++i) {
    const HeldImage& h = c.others[i];
    std::string what = h.kind + (h.name.empty() ? "" : " \"" + h.name + "\"");
    if (h.width > 0) what += " " + std::to_string(h.width) + " x " + std::to_string(h.height);
    if (!h.form.empty()) what += ", " + h.form;
    if (!h.option.empty()) what += " (" + h.option + ")";
    text += line("also", what);
  }
  if (c.others.size() > kMaxListed) text += line("also", std::to_string(c.others.size() - kMaxListed) + " more images");
  return text;
}

std::string selection_text(const Slide& s) {
  std::string text = contents_text(s.contents);
  if (!s.selection.empty()) text += line("selected", s.selection);
  for (const std::string& w : s.warnings) text += line("warning", w);
  return text;
}

Json contents_json(const SlideContents& c) {
  Json j{{"kind", c.kind},         {"bits", c.bits},     {"series", c.series}, {"pages", c.pages},
         {"channels", c.channels}, {"planes", c.planes}, {"times", c.times},   {"channel_names", c.channel_names}};
  j["others"] = Json::array();
  for (const HeldImage& h : c.others)
    j["others"].push_back(
        {{"kind", h.kind}, {"name", h.name}, {"width", h.width}, {"height", h.height}, {"form", h.form}, {"option", h.option}});
  return j;
}

}  // namespace cytodet::pipeline
