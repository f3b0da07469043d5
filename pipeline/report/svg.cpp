#include "pipeline/report/svg.h"

#include "pipeline/report/html.h"

namespace cytodet::pipeline {
namespace {

// Hundredths of a pixel are enough.
std::string svg_number(double v) {
  std::string text = rounded(v, 2);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string svg_attribute(std::string_view name, double value) {
  return " " + std::string(name) + "=\"" + svg_number(value) + "\"";
}

// A blank, then the attributes; nothing when there are none.
std::string spaced(std::string_view attributes) { return attributes.empty() ? "" : " " + std::string(attributes); }

}  // namespace

Svg::Svg(double width, double height, Place place, std::string_view attributes) {
  const std::string w = svg_number(width), h = svg_number(height);
  text_ = std::string("<svg ") + (place == Place::file ? "xmlns=\"http://www.w3.org/2000/svg\" " : "") + "viewBox=\"0 0 " + w +
          " " + h + "\" width=\"" + w + "\" height=\"" + h + "\"" + spaced(attributes) + ">\n";
  if (place == Place::file) text_ += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
}

void Svg::element(const std::string& start, std::string_view attributes, std::string_view tip) {
  const std::string name = start.substr(1, start.find(' ') - 1);
  text_ += start + spaced(attributes);
  text_ += tip.empty() ? "/>\n" : "><title>" + escape_html(tip) + "</title></" + name + ">\n";
}

void Svg::rect(double x, double y, double width, double height, std::string_view attributes, std::string_view tip) {
  element(
      "<rect" + svg_attribute("x", x) + svg_attribute("y", y) + svg_attribute("width", width) + svg_attribute("height", height),
      attributes, tip);
}

void Svg::circle(SvgPoint centre, double radius, std::string_view attributes, std::string_view tip) {
  element("<circle" + svg_attribute("cx", centre.x) + svg_attribute("cy", centre.y) + svg_attribute("r", radius), attributes,
          tip);
}

void Svg::line(SvgPoint from, SvgPoint to, std::string_view attributes) {
  element(
      "<line" + svg_attribute("x1", from.x) + svg_attribute("y1", from.y) + svg_attribute("x2", to.x) + svg_attribute("y2", to.y),
      attributes, {});
}

void Svg::polyline(std::span<const SvgPoint> points, std::string_view attributes) {
  std::string list;
  for (const SvgPoint& p : points) list += (list.empty() ? "" : " ") + svg_number(p.x) + "," + svg_number(p.y);
  element("<polyline fill=\"none\" points=\"" + list + "\"", attributes, {});
}

void Svg::polygon(std::span<const SvgPoint> points, std::string_view attributes) {
  std::string list;
  for (const SvgPoint& p : points) list += (list.empty() ? "" : " ") + svg_number(p.x) + "," + svg_number(p.y);
  element("<polygon points=\"" + list + "\"", attributes, {});
}

void Svg::text(SvgPoint at, std::string_view text, std::string_view attributes) {
  text_ +=
      "<text" + svg_attribute("x", at.x) + svg_attribute("y", at.y) + spaced(attributes) + ">" + escape_html(text) + "</text>\n";
}

void Svg::text_upwards(SvgPoint at, std::string_view text) {
  text_ += "<text transform=\"translate(" + svg_number(at.x) + " " + svg_number(at.y) +
           ") rotate(-90)\" text-anchor=\"middle\">" + escape_html(text) + "</text>\n";
}

}  // namespace cytodet::pipeline
