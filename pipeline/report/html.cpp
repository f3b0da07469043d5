#include "pipeline/report/html.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/settings.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/region.h"

namespace cytodet::pipeline {
namespace {

std::string point(double x, double y) { return rounded(x, 1) + "," + rounded(y, 1) + " "; }

}  // namespace

std::string escape_html(std::string_view text) {
  // Valid UTF-8 by way of the JSON writer.
  const std::string valid = Json::parse(json_line(std::string(text))).get<std::string>();
  std::string out;
  for (char c : valid) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 32 && c != '\n' && c != '\t')
          out += "\xef\xbf\xbd";
        else
          out += c;
    }
  }
  return out;
}

std::string grouped(int64_t v) {
  std::string digits = std::to_string(v);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (v < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string rounded(double v, int decimals) {
  char text[400];
  std::snprintf(text, sizeof text, "%.*f", decimals, v);
  return text;
}

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t v = 0;
    for (size_t k = 0; k < 3; ++k) v = v << 8 | (k < n ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += k <= n ? kDigits[v >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string embed_image(const Image& image, std::string_view caption, int quality) {
  return "<img alt=\"" + escape_html(caption) + "\" width=\"" + std::to_string(image.width) + "\" height=\"" +
         std::to_string(image.height) + "\" src=\"data:image/jpeg;base64," + base64(encode_image(image, true, quality)) + "\">";
}

std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows, size_t numbers) {
  std::string t = "<div class=\"wide\"><table><thead><tr>";
  const auto cell = [&](const char* tag, const std::string& text, size_t column) {
    t += std::string("<") + tag + (column >= numbers ? " class=\"n\">" : ">") + text + "</" + tag + ">";
  };
  for (size_t i = 0; i < head.size(); ++i) cell("th", head[i], i);
  t += "</tr></thead><tbody>\n";
  for (const auto& row : rows) {
    t += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) cell("td", row[i], i);
    t += "</tr>\n";
  }
  return t + "</tbody></table></div>\n";
}

std::string css_colour(int category) {
  const auto c = class_colour(category);
  return "rgb(" + std::to_string(c[0]) + "," + std::to_string(c[1]) + "," + std::to_string(c[2]) + ")";
}

std::string precision_recall_svg(const Scores& scores) {
  constexpr double kLeft = 46, kTop = 12, kWidth = 420, kHeight = 300;
  const auto x = [](double recall) { return kLeft + recall * kWidth; };
  const auto y = [](double precision) { return kTop + (1 - precision) * kHeight; };
  std::string s =
      "<svg viewBox=\"0 0 660 360\" width=\"660\" height=\"360\" role=\"img\" aria-label=\"precision over recall\">\n";
  for (int i = 0; i <= 5; ++i) {
    const double v = i / 5.0;
    s += "<path class=\"grid\" d=\"M" + point(x(v), y(0)) + "L" + point(x(v), y(1)) + "M" + point(x(0), y(v)) + "L" +
         point(x(1), y(v)) + "\"/>";
    s += "<text x=\"" + rounded(x(v), 1) + "\" y=\"" + rounded(y(0) + 18, 1) + "\" text-anchor=\"middle\">" + rounded(v, 1) +
         "</text>";
    s += "<text x=\"" + rounded(x(0) - 8, 1) + "\" y=\"" + rounded(y(v) + 4, 1) + "\" text-anchor=\"end\">" + rounded(v, 1) +
         "</text>\n";
  }
  s += "<text x=\"" + rounded(x(0.5), 1) + "\" y=\"" + rounded(y(0) + 38, 1) + "\" text-anchor=\"middle\">recall</text>";
  s += "<text transform=\"translate(12," + rounded(y(0.5), 1) + ") rotate(-90)\" text-anchor=\"middle\">precision</text>\n";
  double label = kTop + 12;
  for (size_t c = 0; c < scores.classes.size(); ++c) {
    const ClassScores& k = scores.classes[c];
    if (k.truths <= 0) continue;
    const std::string colour = css_colour(static_cast<int>(c));
    for (const auto& [threshold, dash] : {std::pair{size_t{0}, ""}, {size_t{5}, " stroke-dasharray=\"6 4\""}}) {
      std::string points;
      for (size_t r = 0; r < k.precision[threshold].size(); ++r)
        if (k.precision[threshold][r] >= 0) points += point(x(static_cast<double>(r) / 100), y(k.precision[threshold][r]));
      s += "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" + colour + "\"" + dash + " points=\"" + points + "\"/>\n";
    }
    s += "<rect x=\"484\" y=\"" + rounded(label - 10, 1) + "\" width=\"12\" height=\"12\" rx=\"2\" fill=\"" + colour +
         "\"/><text x=\"502\" y=\"" + rounded(label, 1) + "\">" + escape_html(k.name) + " AP50 " + rounded(k.ap50, 3) +
         "</text>\n";
    label += 20;
  }
  s += "<text x=\"484\" y=\"" + rounded(label + 8, 1) + "\">full: IoU 0.5</text><text x=\"484\" y=\"" + rounded(label + 26, 1) +
       "\">dashed: IoU 0.75</text></svg>\n";
  return s;
}

std::string stacked_bar(std::span<const double> parts, double most) {
  constexpr double kWidth = 260;
  std::string s = "<svg class=\"bar\" viewBox=\"0 0 260 12\" width=\"260\" height=\"12\" aria-hidden=\"true\">";
  double at = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const double w = most > 0 ? std::max(0.0, parts[i]) / most * kWidth : 0;
    if (w > 0)
      s += "<rect x=\"" + rounded(at, 2) + "\" y=\"0\" width=\"" + rounded(w, 2) + "\" height=\"12\" class=\"p" +
           std::to_string(i) + "\"/>";
    at += w;
  }
  return s + "</svg>";
}

}  // namespace cytodet::pipeline
