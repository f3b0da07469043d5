// What the functions of cytodet/c.h share: handles of errors and settings, and the border that no exception crosses.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/messages.h"
#include "core/settings.h"
#include "core/stop.h"
#include "cytodet/c.h"

struct cytodet_error {
  cytodet_status status = CYTODET_INTERNAL;
  std::string message, where, problem, advice;  // UTF-8
};

struct cytodet_settings {
  cytodet::core::Json json = cytodet::core::Json::object();
};

namespace cytodet::api {

// A copy of the error for the caller.
cytodet_error to_api(const core::Error& error);
// The exception that is at work, as an error of the caller's; null when memory ran out, or when nobody asks (`error` is null).
void set_error(cytodet_error** error) noexcept;
cytodet_status status_of_current_exception() noexcept;

// f(), which returns a pointer; null where it throws, and *error says why.
template <class F>
auto guarded(cytodet_error** error, F f) noexcept -> decltype(f()) {
  if (error) *error = nullptr;
  try {
    return f();
  } catch (...) {
    set_error(error);
    return nullptr;
  }
}

// f(), which returns nothing, as a status.
template <class F>
cytodet_status guarded_status(cytodet_error** error, F f) noexcept {
  if (error) *error = nullptr;
  try {
    f();
    return CYTODET_OK;
  } catch (...) {
    const cytodet_status status = status_of_current_exception();
    set_error(error);
    return status;
  }
}

// guarded(f), where the caller may stop f, which throws core::Stopped then: *error says that `what` was stopped.
template <class F>
auto stoppable(const std::string& what, cytodet_error** error, F f) noexcept -> decltype(f()) {
  bool stopped = false;
  const auto result = guarded(error, [&]() -> decltype(f()) {
    try {
      return f();
    } catch (const core::Stopped&) {
      stopped = true;
      return nullptr;
    }
  });
  if (stopped && error)
    *error = new (std::nothrow) cytodet_error{CYTODET_STOPPED, what + ": was stopped", what, "was stopped", ""};
  return result;
}

// The caller's callbacks as this version knows them, those of an older or newer caller too; null: none.
inline cytodet_callbacks callbacks_of(const cytodet_callbacks* given) {
  cytodet_callbacks callbacks{};
  if (given) std::memcpy(&callbacks, given, std::min(sizeof callbacks, given->struct_size));
  return callbacks;
}

// Throws UsageError where a parameter is NULL.
void require(const void* parameter, const char* name);

// The settings that a call was given, or none.
core::Json json_of(const cytodet_settings* settings);

// The value of a key, taken out of the settings; empty where it is missing or null. `fallback` decides on the type.
template <class T>
T take(core::Json& settings, const char* key, T fallback) {
  const auto found = settings.find(key);
  if (found == settings.end()) return fallback;
  core::Json alone{{key, *found}};
  core::Fields f(core::Fields::Mode::read, alone, {});
  f(key, fallback);
  settings.erase(key);
  return fallback;
}
// Throws UsageError where a key is left.
void refuse_rest(const core::Json& settings, const std::vector<std::string>& known);

// A text of a list for the caller, "" out of range.
inline const char* text_at(const std::vector<std::string>& texts, size_t index) {
  return index < texts.size() ? texts[index].c_str() : "";
}

// Texts of a call that come from outside, as UTF-8.
std::vector<std::string> valid_texts(const std::vector<std::string>& texts);

}  // namespace cytodet::api
