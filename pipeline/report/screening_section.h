// The part of a report that holds the figures for screening and counting.
#pragma once

#include <string>

#include "eval/screening.h"

namespace cytodet::pipeline {

// HTML: tables at the operating point, of counts, FROC, calibration, confusion and slide scores, with a chart for each class.
std::string screening_section(const Screening& s);

}  // namespace cytodet::pipeline
