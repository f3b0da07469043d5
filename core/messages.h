// Lines on standard error that every command writes alike. Names in them come from outside: what would act on a terminal is
// escaped.
#pragma once

#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

void print_error(std::string_view message);    // "cytodet: error: ..."
void print_warning(std::string_view message);  // "cytodet: warning: ..."

}  // namespace cytodet::core
