// Lines on standard error that every command writes alike. Names in them come from outside: what would act on a terminal is
// escaped.
#pragma once

#include <functional>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

void print_error(std::string_view message);    // "cytodet: error: ..."
void print_warning(std::string_view message);  // "cytodet: warning: ..."

// While one lives, errors and warnings that its thread would write go to `hear` instead: a program that uses the library gets
// them as texts. The innermost one hears.
class MessageCapture {
 public:
  explicit MessageCapture(std::function<void(std::string_view message)> hear);
  ~MessageCapture();
  MessageCapture(const MessageCapture&) = delete;
  MessageCapture& operator=(const MessageCapture&) = delete;

 private:
  friend void print_message(const char* kind, std::string_view message);
  std::function<void(std::string_view)> hear_;
  MessageCapture* outer_;
};

}  // namespace cytodet::core
