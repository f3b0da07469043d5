#include "tiling/slides/formats/xml_text.h"

#include <algorithm>

namespace cytodet::tiling {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr std::string_view kEndOfName = " \t\r\n/>";

}  // namespace

std::optional<XmlTag> next_tag(std::string_view& xml) {
  for (size_t at; (at = xml.find('<')) != std::string_view::npos;) {
    xml.remove_prefix(at + 1);
    if (xml.empty() || xml[0] == '/' || xml[0] == '!' || xml[0] == '?') continue;
    const size_t end = std::min(xml.find_first_of(kEndOfName), xml.size()), close = std::min(xml.find('>', end), xml.size());
    XmlTag tag{xml.substr(0, end), xml.substr(end, close - end)};
    if (const size_t colon = tag.name.find(':'); colon != std::string_view::npos) tag.name.remove_prefix(colon + 1);
    xml.remove_prefix(end);
    return tag;
  }
  xml = {};
  return std::nullopt;
}

std::optional<std::string_view> next_tag(std::string_view& xml, std::string_view name) {
  while (const auto tag = next_tag(xml))
    if (tag->name == name) {
      xml.remove_prefix(tag->inside.size());
      return tag->inside;
    }
  return std::nullopt;
}

std::string_view attribute(std::string_view tag, std::string_view name) {
  for (size_t at = 0; (at = tag.find(name, at)) != std::string_view::npos; at += name.size()) {
    if (at == 0 || kBlank.find(tag[at - 1]) == std::string_view::npos) continue;
    size_t i = tag.find_first_not_of(kBlank, at + name.size());
    if (i == std::string_view::npos || tag[i] != '=') continue;
    i = tag.find_first_not_of(kBlank, i + 1);
    if (i == std::string_view::npos || (tag[i] != '"' && tag[i] != '\'')) continue;
    const size_t end = tag.find(tag[i], i + 1);
    return end == std::string_view::npos ? std::string_view{} : tag.substr(i + 1, end - i - 1);
  }
  return {};
}

std::string_view text_of(std::string_view xml, std::string_view name) {
  if (!next_tag(xml, name) || xml.empty() || xml[0] != '>') return {};
  xml.remove_prefix(1);
  xml = xml.substr(0, std::min(xml.find('<'), xml.size()));
  const size_t from = xml.find_first_not_of(kBlank);
  return from == std::string_view::npos ? std::string_view{} : xml.substr(from, xml.find_last_not_of(kBlank) - from + 1);
}

}  // namespace cytodet::tiling
