// JSON -> struct with defaults in the struct. Key = field name. An unknown key or a wrong type is a UsageError with the
// file, the path of the key ("tiling.overlap_px") and the nearest known key.
//
//   struct TilingSettings { int tile_px = 640; int overlap_px = 160; };
//   void fields(Fields& f, TilingSettings& s) { f("tile_px", s.tile_px); f("overlap_px", s.overlap_px); }
//   TilingSettings s;  read_settings(json, s, "run.json");   Json j = write_settings(s);
//
// A struct is described once, by its fields() overload (found by argument-dependent look-up); structs may nest.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json_fwd.h"

namespace cytodet::core {

// Parses a JSON file of at most max_bytes, nesting at most 64 deep. Error names file, line and column.
Json read_json(const std::filesystem::path& path, int64_t max_bytes = int64_t{256} << 20);
Json parse_json(std::string_view text, const std::string& where);

// JSON as text; bytes that are no UTF-8 become U+FFFD.
std::string json_line(const Json& json);  // without blanks and line ends
std::string json_text(const Json& json);  // a blank a level, and a line end behind all

class Fields {
 public:
  enum class Mode { read, write };
  Fields(Mode mode, Json& json, std::string path) : mode_(mode), json_(json), path_(std::move(path)) {}

  template <class T>
  void operator()(const char* key, T& value) {
    known_.push_back(key);
    if (mode_ == Mode::write) {
      put(json_[key], value);
    } else if (json_.is_object()) {
      if (auto it = json_.find(key); it != json_.end()) get(*it, value, path_.empty() ? key : path_ + "." + key);
    }
  }
  // A key that earlier versions called `old`: read under either name, written under `key`. Both in one file are a UsageError.
  template <class T>
  void operator()(const char* key, T& value, const char* old) {
    (*this)(key, value);
    if (mode_ == Mode::write || !json_.is_object()) return;
    if (auto it = json_.find(old); it != json_.end()) {
      take_old(key, old);
      get(*it, value, path_.empty() ? old : path_ + "." + old);
    }
  }
  // A key that is written only where its value is not `standard`: files of those who do not use it stay as they were.
  template <class T>
  void unless(const T& standard, const char* key, T& value) {
    if (mode_ == Mode::read || !(value == standard)) (*this)(key, value);
  }
  void finish() const;  // throws on unknown keys and non-objects

 private:
  void take_old(const char* key, const char* old);
  [[noreturn]] static void wrong(const std::string& path, const Json& j, const char* wanted);
  static void get(const Json& j, bool& v, const std::string& path);
  static void get(const Json& j, int& v, const std::string& path);
  static void get(const Json& j, int64_t& v, const std::string& path);
  static void get(const Json& j, double& v, const std::string& path);
  static void get(const Json& j, float& v, const std::string& path);
  static void get(const Json& j, std::string& v, const std::string& path);
  static void get(const Json& j, Json& v, const std::string&) { v = j; }  // any JSON
  template <class T>
  static void get(const Json& j, std::vector<T>& v, const std::string& path) {
    if (!j.is_array()) wrong(path, j, "an array");
    v.assign(j.size(), T{});
    for (size_t i = 0; i < j.size(); ++i) get(j[i], v[i], path + "[" + std::to_string(i) + "]");
  }
  template <class T, size_t N>
  static void get(const Json& j, std::array<T, N>& v, const std::string& path) {
    if (!j.is_array() || j.size() != N) wrong(path, j, ("an array of " + std::to_string(N)).c_str());
    for (size_t i = 0; i < N; ++i) get(j[i], v[i], path + "[" + std::to_string(i) + "]");
  }
  template <class T>
  static void get(const Json& j, std::optional<T>& v, const std::string& path) {
    if (j.is_null())
      v.reset();
    else
      get(j, v.emplace(), path);
  }
  template <class T>
  static auto get(const Json& j, T& v, const std::string& path) -> decltype(fields(std::declval<Fields&>(), v)) {
    Fields nested(Mode::read, const_cast<Json&>(j), path);
    fields(nested, v);
    nested.finish();
  }

  template <class T>
  static void put(Json& j, std::optional<T>& v) {
    if (v)
      put(j, *v);
    else
      j = nullptr;
  }
  template <class T>
  static void put(Json& j, std::vector<T>& v) {
    j = Json::array();
    for (T& item : v) put(j.emplace_back(), item);
  }
  template <class T, size_t N>
  static void put(Json& j, std::array<T, N>& v) {
    j = Json::array();
    for (T& item : v) put(j.emplace_back(), item);
  }
  template <class T>
  static void put(Json& j, T& v) {
    if constexpr (requires(Fields & f) { fields(f, v); }) {
      j = Json::object();
      Fields nested(Mode::write, j, {});
      fields(nested, v);
    } else {
      j = v;
    }
  }

  Mode mode_;
  Json& json_;
  std::string path_;
  std::vector<std::string> known_, old_;  // old_: former names that were found
};

// `where` (usually the file) is put before every error.
template <class T>
void read_settings(const Json& json, T& value, const std::string& where) {
  try {
    Fields f(Fields::Mode::read, const_cast<Json&>(json), {});
    fields(f, value);
    f.finish();
  } catch (const Error& e) {
    throw e.within(where);
  }
}

template <class T>
Json write_settings(const T& value) {
  Json j = Json::object();
  Fields f(Fields::Mode::write, j, {});
  fields(f, const_cast<T&>(value));
  return j;
}

}  // namespace cytodet::core
