#include "core/messages.h"

#include <cstdio>
#include <utility>

#include "core/text_width.h"

namespace cytodet::core {

namespace {
thread_local MessageCapture* innermost = nullptr;
}

MessageCapture::MessageCapture(std::function<void(std::string_view)> hear) : hear_(std::move(hear)), outer_(innermost) {
  innermost = this;
}
MessageCapture::~MessageCapture() { innermost = outer_; }

void print_message(const char* kind, std::string_view message) {
  if (innermost)
    innermost->hear_(message);
  else
    std::fprintf(stderr, "cytodet: %s: %s\n", kind, printable(message).c_str());
}
void print_error(std::string_view message) { print_message("error", message); }
void print_warning(std::string_view message) { print_message("warning", message); }

}  // namespace cytodet::core
