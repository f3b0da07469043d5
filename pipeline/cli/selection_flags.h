// --series, --page, --plane, --time, --channel, --stretch: shared by the commands that open slides.
#pragma once

#include <optional>
#include <string>

#include "tiling/slides/image_selection.h"

namespace CLI {
class App;
}

namespace cytodet::pipeline {

struct SelectionFlags {
  std::optional<int> series, page, plane, time;
  std::string channel, stretch;

  void add(CLI::App& app);
  // What was given takes the place of what stood there. Throws UsageError, see check(ImageSelection).
  void apply(ImageSelection& s) const;
};

}  // namespace cytodet::pipeline
