#include "graph/ir/colocations.h"

namespace cytodet::graph {

void erase_colocations(Node& node, const std::function<bool(std::string_view other)>& drops) {
  constexpr std::string_view kMark = "loc:@";
  const AttrList* classes = node.find_attr<AttrList>("_class");
  if (!classes) return;
  AttrList kept = *classes;
  std::erase_if(kept.strings,
                [&](std::string_view entry) { return entry.starts_with(kMark) && drops(entry.substr(kMark.size())); });
  if (kept.strings.size() == classes->strings.size()) return;
  if (kept.strings.empty())
    node.attrs.erase("_class");
  else
    node.attrs.insert_or_assign("_class", Attr(kept));
}

}  // namespace cytodet::graph
