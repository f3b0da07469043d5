#include "pipeline/cli/selection_flags.h"

#include <CLI/CLI.hpp>

#include "core/error.h"

namespace cytodet::pipeline {

void SelectionFlags::add(CLI::App& app) {
  app.add_option("--series", series, "Of files with several images: the one of this number, from 0, see cytodet info");
  app.add_option("--page", page, "The image of this number, from 0, in a TIFF's chain");
  app.add_option("--plane", plane, "The focal plane of this number, from 0; default: the middle one");
  app.add_option("--time", time, "The point in time of this number, from 0");
  app.add_option("--channel", channel, "One channel, as gray, or three, as R,G,B: numbers from 0, or names");
  app.add_option("--stretch", stretch, "Sample values that become black and white: none, auto, BITS or MIN,MAX");
}

void SelectionFlags::apply(ImageSelection& s) const {
  if (page) s = {.page = page, .channel = s.channel, .stretch = s.stretch};
  if (series || plane || time) s.page = page;
  if (series) s.series = series;
  if (plane) s.plane = plane;
  if (time) s.time = time;
  if (!channel.empty()) s.channel = channel;
  if (!stretch.empty()) s.stretch = stretch;
  check(s);
}

}  // namespace cytodet::pipeline
