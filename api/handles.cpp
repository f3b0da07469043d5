#include "api/handles.h"

#include <cmath>
#include <new>

#include "core/join.h"
#include "core/settings.h"
#include "core/text_width.h"

using namespace cytodet;

namespace cytodet::api {
namespace {

constexpr size_t kMaxSettings = size_t{16} << 20;  // bytes of JSON

cytodet_status status_of(const core::Error& e) { return e.code() == core::Exit::usage ? CYTODET_USAGE : CYTODET_FAILED; }

// The place of a key such as "tiling.tile_px"; null where a part of it is empty or names what is no object.
core::Json* place_of(core::Json& settings, const std::string& key) {
  core::Json* at = &settings;
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('.', begin), key.size());
    if (end == begin || !(at->is_object() || at->is_null())) return nullptr;
    at = &(*at)[key.substr(begin, end - begin)];
    begin = end + 1;
  }
  return at;
}

// Whole numbers are kept as such: settings that count take no others.
core::Json number_of(double value) {
  if (value == std::floor(value) && std::abs(value) < 9e15) return static_cast<int64_t>(value);
  return value;
}

// `put` sets the value at the key's place.
template <class Put>
cytodet_status change(cytodet_settings* settings, const char* key, Put put) noexcept {
  if (!settings || !key) return CYTODET_USAGE;
  return guarded_status(nullptr, [&] {
    core::Json changed = settings->json;
    core::Json* place = place_of(changed, key);
    if (!place) throw core::UsageError(key, "is no key");
    put(*place);
    settings->json = std::move(changed);
  });
}

core::Json parse_object(const char* json) {
  require(json, "json");
  const std::string text = json;
  if (text.size() > kMaxSettings) throw core::UsageError("settings", "are longer than 16 MiB");
  core::Json parsed;
  try {
    parsed = core::parse_json(text, "settings");
  } catch (const core::Error& e) {
    throw core::UsageError(e.where(), e.problem(), e.fix());
  }
  if (!parsed.is_object()) throw core::UsageError("settings", "are no JSON object", "write {\"key\": value}");
  return parsed;
}

}  // namespace

cytodet_error to_api(const core::Error& e) {
  return {status_of(e), core::valid_utf8(e.what()), core::valid_utf8(e.where()), core::valid_utf8(e.problem()),
          core::valid_utf8(e.fix())};
}

cytodet_status status_of_current_exception() noexcept {
  try {
    throw;
  } catch (const core::Error& e) {
    return status_of(e);
  } catch (const std::bad_alloc&) {
    return CYTODET_NO_MEMORY;
  } catch (...) {
    return CYTODET_INTERNAL;
  }
}

void set_error(cytodet_error** error) noexcept {
  // Returned when there is no memory for an error object.
  static cytodet_error no_memory{CYTODET_NO_MEMORY, "out of memory", "", "out of memory", ""};
  if (!error) return;
  try {
    try {
      throw;
    } catch (const core::Error& e) {
      *error = new cytodet_error(to_api(e));
    } catch (const std::bad_alloc&) {
      *error = new cytodet_error{CYTODET_NO_MEMORY, "out of memory; use smaller images or fewer streams", "", "out of memory",
                                 "use smaller images or fewer streams"};
    } catch (const std::exception& e) {
      *error = new cytodet_error{CYTODET_INTERNAL, core::valid_utf8(e.what()), "", core::valid_utf8(e.what()), ""};
    } catch (...) {
      *error = new cytodet_error{CYTODET_INTERNAL, "unknown exception", "", "unknown exception", ""};
    }
  } catch (...) {
    *error = &no_memory;
  }
}

void require(const void* parameter, const char* name) {
  if (!parameter) throw core::UsageError(name, "is NULL");
}

core::Json json_of(const cytodet_settings* settings) { return settings ? settings->json : core::Json::object(); }

void refuse_rest(const core::Json& settings, const std::vector<std::string>& known) {
  if (settings.empty()) return;
  throw core::UsageError("setting \"" + settings.begin().key() + "\"", "is not known here",
                         known.empty() ? "leave it out" : "known: " + core::join(known, ", "));
}

std::vector<std::string> valid_texts(const std::vector<std::string>& texts) {
  std::vector<std::string> valid;
  for (const std::string& t : texts) valid.push_back(core::valid_utf8(t));
  return valid;
}

}  // namespace cytodet::api

using namespace cytodet::api;

int32_t cytodet_c_api_version(void) { return CYTODET_C_API_VERSION; }
const char* cytodet_version(void) { return CYTODET_VERSION_STRING; }

cytodet_status cytodet_error_status(const cytodet_error* e) { return e ? e->status : CYTODET_OK; }
const char* cytodet_error_message(const cytodet_error* e) { return e ? e->message.c_str() : ""; }
const char* cytodet_error_where(const cytodet_error* e) { return e ? e->where.c_str() : ""; }
const char* cytodet_error_problem(const cytodet_error* e) { return e ? e->problem.c_str() : ""; }
const char* cytodet_error_advice(const cytodet_error* e) { return e ? e->advice.c_str() : ""; }
void cytodet_error_free(cytodet_error* e) {
  if (e && e->status == CYTODET_NO_MEMORY && e->advice.empty()) return;  // the one that was made beforehand
  delete e;
}

cytodet_settings* cytodet_settings_create(void) { return new (std::nothrow) cytodet_settings; }

cytodet_settings* cytodet_settings_parse(const char* json, cytodet_error** error) {
  return guarded(error, [&] { return new cytodet_settings{parse_object(json)}; });
}

cytodet_status cytodet_settings_set_json(cytodet_settings* settings, const char* json, cytodet_error** error) {
  return guarded_status(error, [&] {
    require(settings, "settings");
    core::Json merged = settings->json;
    merged.merge_patch(parse_object(json));
    settings->json = std::move(merged);
  });
}

cytodet_status cytodet_settings_set_text(cytodet_settings* s, const char* key, const char* value) {
  if (!value) return CYTODET_USAGE;
  return change(s, key, [&](core::Json& j) { j = value; });
}
cytodet_status cytodet_settings_set_number(cytodet_settings* s, const char* key, double value) {
  if (!std::isfinite(value)) return CYTODET_USAGE;
  return change(s, key, [&](core::Json& j) { j = number_of(value); });
}
cytodet_status cytodet_settings_set_flag(cytodet_settings* s, const char* key, int value) {
  return change(s, key, [&](core::Json& j) { j = value != 0; });
}
cytodet_status cytodet_settings_add_text(cytodet_settings* s, const char* key, const char* value) {
  if (!value) return CYTODET_USAGE;
  return change(s, key, [&](core::Json& j) {
    if (!j.is_array()) j = core::Json::array();
    j.push_back(value);
  });
}
cytodet_status cytodet_settings_add_number(cytodet_settings* s, const char* key, double value) {
  if (!std::isfinite(value)) return CYTODET_USAGE;
  return change(s, key, [&](core::Json& j) {
    if (!j.is_array()) j = core::Json::array();
    j.push_back(number_of(value));
  });
}
void cytodet_settings_free(cytodet_settings* s) { delete s; }
