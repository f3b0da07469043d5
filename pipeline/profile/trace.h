// Images of a LayerTable: the scopes of the nodes' names as nested frames along the time of a run.
#pragma once

#include "pipeline/profile/layers.h"

namespace cytodet::pipeline {

struct Frame {
  std::string name;  // a part of the node's path; the whole run: "network"
  int depth = 0;     // 0: the whole run
  double start_ms = 0, ms = 0;
  int step = -1;  // of the table; -1: a scope
};
// In order of start, outer ones first. Neighbouring steps of one scope share its frame.
std::vector<Frame> frames_of(const LayerTable& table);

// Trace-event format, as Perfetto and chrome://tracing open it: complete events ("ph": "X"), microseconds.
Json trace_json(const LayerTable& table);
// An image that a browser shows, figures as tool tips.
std::string flame_svg(const LayerTable& table, const std::string& title);

}  // namespace cytodet::pipeline
