// What a failure says.
#pragma once

#include <string>

#include "core/error.h"

namespace cytodet {

// The message of the Error that `run` throws; empty when it throws none.
template <class Run>
std::string error_of(Run run) {
  try {
    run();
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

}  // namespace cytodet
