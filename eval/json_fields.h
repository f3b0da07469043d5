// Fields of COCO's JSON lists, checked; errors name file, element and field. For the sources of this room.
#pragma once

#include <simdjson.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace cytodet::eval {

namespace dom = simdjson::dom;

namespace json {

// A position in the document, as errors name it; its text is built only when an error is thrown.
struct Path {
  const std::string& file;
  const char* list;
  size_t index;
  [[noreturn]] void fail(const std::string& field, const std::string& what, const std::string& fix = {}) const {
    throw Error(file, std::string(list) + "[" + std::to_string(index) + "]" + (field.empty() ? "" : "." + field) + " " + what,
                fix);
  }
};

// The whole text is checked before anything is read from it; the parser owns the result. The text may be of any encoding that
// core/text_decode.h reads, with NaN and the like where nobody reads them (core/json_repair.h). `before`: bytes of the file that
// come before this piece of it.
dom::element parse(dom::parser& parser, std::string_view json, const std::string& where, size_t before = 0);

inline double finite(const Path& at, const char* field, dom::element value) {
  double v = 0;
  if (value.get_double().get(v)) at.fail(field, "is not a number");
  if (!std::isfinite(v)) at.fail(field, "is not finite");
  return v;
}

inline int64_t whole(const Path& at, const char* field, dom::element value) {
  int64_t i = 0;
  if (!value.get_int64().get(i)) return i;
  double d = 0;
  if (value.get_double().get(d) || d != std::floor(d) || std::abs(d) > 9e15) at.fail(field, "is not a whole number");
  return static_cast<int64_t>(d);
}

// An id: a whole number, also written 1.0 or "12", or a text ("0012" is one).
struct Id {
  int64_t number = 0;
  std::string text;  // empty: it is the number
};
inline Id id_of(const Path& at, const char* field, dom::element value) {
  std::string_view text;
  if (value.get_string().get(text)) return {whole(at, field, value), {}};
  if (text.empty()) at.fail(field, "is an empty text");
  int64_t number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end.ec == std::errc() && end.ptr == text.data() + text.size() && std::to_string(number) == text) return {number, {}};
  return {0, std::string(text)};
}

inline void box_of(const Path& at, dom::element value, double* box, const char* field = "bbox") {
  dom::array list;
  if (value.get_array().get(list)) at.fail(field, "is not an array");
  size_t n = 0;
  for (dom::element item : list) {
    double v = 0;
    if (n >= 4 || item.get_double().get(v) || !std::isfinite(v))
      at.fail(field, "must be four finite numbers [x, y, width, height]");
    box[n++] = v;
  }
  if (n != 4) at.fail(field, "must be four finite numbers [x, y, width, height]");
  if (box[2] < 0 || box[3] < 0) at.fail(field, "has a negative width or height", "boxes are [x, y, width, height]");
}

// The named fields of an object in one walk (absent ones are empty); of a name given twice the last counts, as in Python.
template <size_t N>
std::array<std::optional<dom::element>, N> fields(dom::object object, const std::array<std::string_view, N>& names) {
  std::array<std::optional<dom::element>, N> found;
  for (auto [key, value] : object)
    for (size_t i = 0; i < N; ++i)
      if (key == names[i]) found[i] = value;
  return found;
}

inline dom::element required(const Path& at, const char* field, const std::optional<dom::element>& value) {
  if (!value) at.fail(field, "is missing");
  return *value;
}

// What a COCO results element says of image and category, in all readers.
struct ResultIds {
  Id image, category;
  std::string file_name;
  bool has_image = true;  // false: image_id is null, or missing and a file_name is there
};
inline ResultIds result_ids(const Path& at, const std::optional<dom::element>& image, const std::optional<dom::element>& category,
                            const std::optional<dom::element>& file_name) {
  ResultIds ids;
  std::string_view name;
  if (file_name && !file_name->get_string().get(name)) ids.file_name = name;
  if (!image && ids.file_name.empty()) at.fail("image_id", "is missing", "name the image by image_id or file_name");
  ids.has_image = image && !image->is_null();
  if (ids.has_image) ids.image = id_of(at, "image_id", *image);
  ids.category = id_of(at, "category_id", required(at, "category_id", category));
  return ids;
}

// Calls f(object, path) for each object of a list whose first has this index; returns the index after the last.
template <class F>
size_t each_object(dom::array items, const std::string& where, const char* list, F f, size_t index = 0) {
  for (dom::element item : items) {
    Path at{where, list, index++};
    dom::object object;
    if (item.get_object().get(object)) at.fail("", "is not an object");
    f(object, at);
  }
  return index;
}

}  // namespace json
}  // namespace cytodet::eval
