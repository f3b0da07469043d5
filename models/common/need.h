// Checks of a model file's keys.
#pragma once

#include <string>

#include "core/error.h"

namespace cytodet::models {

// UsageError "m.json: input.width: must be 1 to 16384" unless `ok`.
inline void need(bool ok, const std::string& key, const std::string& problem, const std::string& where) {
  if (!ok) throw UsageError(where + ": " + key, problem);
}

}  // namespace cytodet::models
