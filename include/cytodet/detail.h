// How the C++ headers call the C functions. No part of the interface.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cytodet/c.h"
#include "cytodet/error.h"

namespace cytodet::detail {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
template <class T, auto Free>
using Handle = std::unique_ptr<T, Freed<Free>>;

inline Error to_error(const cytodet_error* e) {
  return {static_cast<ErrorKind>(cytodet_error_status(e)), cytodet_error_message(e), cytodet_error_where(e),
          cytodet_error_problem(e), cytodet_error_advice(e)};
}

// f(&error), whose error is thrown.
template <class F>
auto call(F f) {
  cytodet_error* error = nullptr;
  const auto result = f(&error);
  const Handle<cytodet_error, cytodet_error_free> owned(error);
  if (error) throw to_error(error);
  return result;
}

inline void check(cytodet_status status, const std::string& key) {
  if (status != CYTODET_OK)
    throw Error(static_cast<ErrorKind>(status), key + ": has a value that cannot be", key, "has a value that cannot be", "");
}

// The options of a call as the settings of the C function. Options that are not set have no key.
class Settings {
 public:
  Settings() : settings_(cytodet_settings_create()) {
    if (!settings_) throw std::bad_alloc();
  }
  void set(const char* key, const std::string& value) {
    if (!value.empty()) check(cytodet_settings_set_text(settings_.get(), key, value.c_str()), key);
  }
  void set(const char* key, double value) { check(cytodet_settings_set_number(settings_.get(), key, value), key); }
  void set_flag(const char* key, bool value) { check(cytodet_settings_set_flag(settings_.get(), key, value ? 1 : 0), key); }
  template <class T>
  void set(const char* key, const std::optional<T>& value) {
    if (value) set(key, *value);
  }
  void set(const char* key, const std::vector<std::string>& values) {
    for (const std::string& v : values) check(cytodet_settings_add_text(settings_.get(), key, v.c_str()), key);
  }
  template <class Number>
  void set_numbers(const char* key, const std::vector<Number>& values) {
    for (const Number v : values) check(cytodet_settings_add_number(settings_.get(), key, static_cast<double>(v)), key);
  }
  // Lays a JSON object over what is set.
  void set_json(const std::string& json) {
    if (!json.empty())
      call([&](cytodet_error** error) { return cytodet_settings_set_json(settings_.get(), json.c_str(), error); });
  }
  const cytodet_settings* get() const { return settings_.get(); }

 private:
  Handle<cytodet_settings, cytodet_settings_free> settings_;
};

// "name": [1, 2] as a member of a JSON object.
inline std::string json_of(const std::string& name, const std::vector<int>& numbers) {
  std::string text = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  text += "\": [";
  for (std::size_t i = 0; i < numbers.size(); ++i) text += (i ? ", " : "") + std::to_string(numbers[i]);
  return text + "]";
}

// The texts of a handle: at(handle, i) for i in [0, count(handle)).
template <class T>
std::vector<std::string> texts(const T* handle, size_t (*count)(const T*), const char* (*at)(const T*, size_t)) {
  std::vector<std::string> all;
  for (size_t i = 0; i < count(handle); ++i) all.emplace_back(at(handle, i));
  return all;
}

inline std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> all;
  for (const std::string& t : texts) all.push_back(t.c_str());
  return all;
}

}  // namespace cytodet::detail
