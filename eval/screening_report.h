// Figures for screening and counting as text and as JSON.
#pragma once

#include <string>

#include "core/json_fwd.h"
#include "eval/screening.h"

namespace cytodet::eval {

std::string to_text(const Screening& s);  // tables: at the operating point, counts, FROC, calibration, confusion, slides
Json to_json(const Screening& s);

}  // namespace cytodet::eval
