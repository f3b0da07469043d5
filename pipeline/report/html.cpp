#include "pipeline/report/html.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/settings.h"
#include "pipeline/report/svg.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/region.h"

namespace cytodet::pipeline {
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
  const auto at = [](double recall, double precision) {
    return SvgPoint{kLeft + recall * kWidth, kTop + (1 - precision) * kHeight};
  };
  const auto moved = [](SvgPoint p, double x, double y) { return SvgPoint{p.x + x, p.y + y}; };
  Svg svg(660, 360, Svg::Place::page, "role=\"img\" aria-label=\"precision over recall\"");
  for (int i = 0; i <= 5; ++i) {
    const double v = i / 5.0;
    svg.line(at(v, 0), at(v, 1), "class=\"grid\"");
    svg.line(at(0, v), at(1, v), "class=\"grid\"");
    svg.text(moved(at(v, 0), 0, 18), rounded(v, 1), "text-anchor=\"middle\"");
    svg.text(moved(at(0, v), -8, 4), rounded(v, 1), "text-anchor=\"end\"");
  }
  svg.text(moved(at(0.5, 0), 0, 38), "recall", "text-anchor=\"middle\"");
  svg.text_upwards({12, at(0, 0.5).y}, "precision");
  double label = kTop + 12;
  for (size_t c = 0; c < scores.classes.size(); ++c) {
    const ClassScores& k = scores.classes[c];
    if (k.truths <= 0) continue;
    const std::string colour = css_colour(static_cast<int>(c));
    for (const auto& [threshold, dash] : {std::pair{size_t{0}, ""}, {size_t{5}, " stroke-dasharray=\"6 4\""}}) {
      std::vector<SvgPoint> points;
      for (size_t r = 0; r < k.precision[threshold].size(); ++r)
        if (k.precision[threshold][r] >= 0) points.push_back(at(static_cast<double>(r) / 100, k.precision[threshold][r]));
      svg.polyline(points, "stroke-width=\"2\" stroke=\"" + colour + "\"" + dash);
    }
    svg.rect(484, label - 10, 12, 12, "rx=\"2\" fill=\"" + colour + "\"");
    svg.text({502, label}, k.name + " AP50 " + rounded(k.ap50, 3));
    label += 20;
  }
  svg.text({484, label + 8}, "full: IoU 0.5");
  svg.text({484, label + 26}, "dashed: IoU 0.75");
  return svg.finish();
}

std::string stacked_bar(std::span<const double> parts, double max) {
  constexpr double kWidth = 260, kHeight = 12;
  Svg svg(kWidth, kHeight, Svg::Place::page, "class=\"bar\" aria-hidden=\"true\"");
  double at = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const double w = max > 0 ? std::max(0.0, parts[i]) / max * kWidth : 0;
    if (w > 0) svg.rect(at, 0, w, kHeight, "class=\"p" + std::to_string(i) + "\"");
    at += w;
  }
  return svg.finish();
}

std::string stage_key(size_t stage) {
  Svg svg(12, 12, Svg::Place::page);
  svg.rect(0, 0, 12, 12, "class=\"p" + std::to_string(stage) + "\"");
  return svg.finish();
}

}  // namespace cytodet::pipeline
