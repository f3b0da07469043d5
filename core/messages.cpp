#include "core/messages.h"

#include <cstdio>

#include "core/text_width.h"

namespace cytodet::core {

void print_error(std::string_view message) { std::fprintf(stderr, "cytodet: error: %s\n", printable(message).c_str()); }
void print_warning(std::string_view message) { std::fprintf(stderr, "cytodet: warning: %s\n", printable(message).c_str()); }

}  // namespace cytodet::core
