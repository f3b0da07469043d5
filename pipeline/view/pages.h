// The viewer's page, built into the program from pipeline/view/page/.
#pragma once

#include <span>
#include <string_view>

namespace cytodet::pipeline {

struct Page {
  std::string_view path, type, text;  // path "" is the page itself
};
std::span<const Page> pages();

}  // namespace cytodet::pipeline
