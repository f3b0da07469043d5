// Start tags of XML, read one after the other without building a tree: enough for the descriptions that microscopes write.
#pragma once

#include <optional>
#include <string_view>

namespace cytodet::tiling {

struct XmlTag {
  std::string_view name;    // without its prefix
  std::string_view inside;  // what stands between the name and ">"
};

// The next start tag; `xml` goes on behind its name. Empty: there is none.
std::optional<XmlTag> next_tag(std::string_view& xml);
// The next start tag of this name; `xml` goes on at its ">".
std::optional<std::string_view> next_tag(std::string_view& xml, std::string_view name);

std::string_view attribute(std::string_view tag, std::string_view name);

// The text of the first element of this name; empty: none.
std::string_view text_of(std::string_view xml, std::string_view name);

}  // namespace cytodet::tiling
