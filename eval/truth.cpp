#include "eval/truth.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "core/error.h"
#include "core/file.h"

namespace cytodet {
namespace {

namespace od = simdjson::ondemand;

// Where in the document we are, for errors; built only when one is thrown.
struct Path {
  const std::string& file;
  const char* list;
  size_t index;
  [[noreturn]] void fail(const std::string& field, const std::string& what, const std::string& fix = {}) const {
    throw Error(file, std::string(list) + "[" + std::to_string(index) + "]" + (field.empty() ? "" : "." + field) + " " + what, fix);
  }
};

[[noreturn]] void not_json(const std::string& where, simdjson::error_code code) {
  throw Error(where, std::string("not valid JSON: ") + simdjson::error_message(code), "check the file with a JSON tool");
}

double finite(const Path& at, const char* field, simdjson::simdjson_result<od::value> value) {
  double v = 0;
  if (auto e = value.get_double().get(v)) at.fail(field, e == simdjson::NO_SUCH_FIELD ? "is missing" : "is not a number");
  if (!std::isfinite(v)) at.fail(field, "is not finite");
  return v;
}

int64_t whole(const Path& at, const char* field, simdjson::simdjson_result<od::value> value) {
  od::value v;
  if (value.get(v)) at.fail(field, "is missing");
  int64_t i = 0;
  if (!v.get_int64().get(i)) return i;
  double d = 0;
  if (v.get_double().get(d) || d != std::floor(d) || std::abs(d) > 9e15) at.fail(field, "is not a whole number");
  return static_cast<int64_t>(d);
}

// A field that may be missing or of another type. Any other error means the text is broken: reading on would be undefined.
template <class T>
bool optional_field(const Path& at, simdjson::simdjson_result<T> result, T& out) {
  simdjson::error_code e = std::move(result).get(out);
  if (e == simdjson::SUCCESS) return true;
  if (e != simdjson::NO_SUCH_FIELD && e != simdjson::INCORRECT_TYPE && e != simdjson::NUMBER_ERROR) not_json(at.file, e);
  return false;
}

void box_of(const Path& at, simdjson::simdjson_result<od::value> value, double* box) {
  od::array list;
  if (auto e = value.get_array().get(list)) at.fail("bbox", e == simdjson::NO_SUCH_FIELD ? "is missing" : "is not an array");
  size_t n = 0;
  for (auto item : list) {
    double v = 0;
    if (n >= 4 || item.get_double().get(v) || !std::isfinite(v)) at.fail("bbox", "must be four finite numbers [x, y, width, height]");
    box[n++] = v;
  }
  if (n != 4) at.fail("bbox", "must be four finite numbers [x, y, width, height]");
  if (box[2] < 0 || box[3] < 0) at.fail("bbox", "has a negative width or height", "boxes are [x, y, width, height]");
}

simdjson::padded_string padded(std::string_view json) { return simdjson::padded_string(json.data(), json.size()); }

template <class Items>
void sort_unique(Items& items, const std::string& where, const char* list) {
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (size_t i = 1; i < items.size(); ++i)
    if (items[i].id == items[i - 1].id) throw Error(where, std::string(list) + ": id " + std::to_string(items[i].id) + " is used twice", "ids must be unique");
}

template <class Items>
int find_id(const Items& items, int64_t id) {
  auto it = std::lower_bound(items.begin(), items.end(), id, [](const auto& a, int64_t v) { return a.id < v; });
  return it != items.end() && it->id == id ? static_cast<int>(it - items.begin()) : -1;
}

// Calls f(object, path) for each object of a top-level list; throws when the list is missing or of another kind.
template <class F>
void each_object(od::document& doc, const std::string& where, const char* list, bool required, F f) {
  od::array items;
  auto found = doc.find_field_unordered(list);
  if (auto e = found.get_array().get(items)) {
    if (e == simdjson::NO_SUCH_FIELD && !required) return;
    if (e == simdjson::NO_SUCH_FIELD) throw Error(where, std::string("has no \"") + list + "\"", "name a COCO truth file");
    if (e == simdjson::INCORRECT_TYPE) throw Error(where, std::string("\"") + list + "\" is not an array", "name a COCO truth file");
    not_json(where, e);
  }
  size_t index = 0;
  for (auto item : items) {
    Path at{where, list, index++};
    od::object object;
    if (auto e = item.get_object().get(object)) {
      if (e == simdjson::INCORRECT_TYPE) at.fail("", "is not an object");
      not_json(where, e);
    }
    f(object, at);
  }
}

}  // namespace

int Truth::image_index(int64_t id) const { return find_id(images, id); }
int Truth::category_index(int64_t id) const { return find_id(categories, id); }

int Truth::image_named(std::string_view name) const {
  for (size_t i = 0; i < images.size(); ++i)
    if (images[i].file_name == name) return static_cast<int>(i);
  std::filesystem::path wanted = std::filesystem::path(name).filename();
  for (size_t i = 0; i < images.size(); ++i)
    if (std::filesystem::path(images[i].file_name).filename() == wanted) return static_cast<int>(i);
  return -1;
}

Truth parse_truth(std::string_view json, const std::string& where) {
  simdjson::padded_string text = padded(json);
  od::parser parser;
  od::document doc;
  if (auto e = parser.iterate(text).get(doc)) not_json(where, e);
  Truth t;
  try {
    od::json_type type;
    if (auto e = doc.type().get(type)) not_json(where, e);
    if (type != od::json_type::object) throw Error(where, "is not a COCO truth object", "it needs \"images\", \"annotations\" and \"categories\"");
    each_object(doc, where, "images", true, [&](od::object& o, const Path& at) {
      TruthImage image;
      image.id = whole(at, "id", o.find_field_unordered("id"));
      std::string_view name;
      if (optional_field(at, o.find_field_unordered("file_name").get_string(), name)) image.file_name = std::string(name);
      int64_t side = 0;
      if (optional_field(at, o.find_field_unordered("width").get_int64(), side)) image.width = side;
      if (optional_field(at, o.find_field_unordered("height").get_int64(), side)) image.height = side;
      t.images.push_back(std::move(image));
    });
    each_object(doc, where, "categories", true, [&](od::object& o, const Path& at) {
      TruthCategory category;
      category.id = whole(at, "id", o.find_field_unordered("id"));
      std::string_view name;
      if (optional_field(at, o.find_field_unordered("name").get_string(), name)) category.name = std::string(name);
      else category.name = std::to_string(category.id);
      t.categories.push_back(std::move(category));
    });
    sort_unique(t.images, where, "images");
    sort_unique(t.categories, where, "categories");
    size_t without_area = 0, ignored = 0, zero_id = 0, without_id = 0;
    std::unordered_set<int64_t> seen;
    each_object(doc, where, "annotations", true, [&](od::object& o, const Path& at) {
      int64_t image_id = whole(at, "image_id", o.find_field_unordered("image_id"));
      int64_t category_id = whole(at, "category_id", o.find_field_unordered("category_id"));
      int image = t.image_index(image_id), category = t.category_index(category_id);
      if (image < 0) at.fail("image_id", std::to_string(image_id) + " is not among the images", "add the image or drop the annotation");
      if (category < 0) at.fail("category_id", std::to_string(category_id) + " is not among the categories", "add the category or drop the annotation");
      double box[4];
      box_of(at, o.find_field_unordered("bbox"), box);
      double area = box[2] * box[3];
      auto area_field = o.find_field_unordered("area");
      if (area_field.error() == simdjson::NO_SUCH_FIELD) ++without_area;
      else area = finite(at, "area", std::move(area_field));
      int64_t crowd = 0, ignore = 0;
      auto flag = [&](const char* name) -> int64_t {
        od::value v;
        if (!optional_field(at, o.find_field_unordered(name), v)) return 0;
        bool b = false;
        if (optional_field(at, v.get_bool(), b)) return b;
        return whole(at, name, o.find_field_unordered(name));
      };
      crowd = flag("iscrowd");
      ignore = flag("ignore");
      if (ignore && !crowd) ++ignored;
      int64_t id = static_cast<int64_t>(at.index) + 1;
      auto id_field = o.find_field_unordered("id");
      if (id_field.error() == simdjson::NO_SUCH_FIELD) ++without_id;
      else id = whole(at, "id", std::move(id_field));
      if (!seen.insert(id).second) at.fail("id", std::to_string(id) + " is used twice", "ids must be unique");
      zero_id += id == 0;
      t.image.push_back(image);
      t.category.push_back(category);
      t.boxes.insert(t.boxes.end(), box, box + 4);
      t.areas.push_back(area);
      t.crowd.push_back(crowd != 0);
      t.ids.push_back(id);
    });
    if (without_area) t.warnings.push_back(std::to_string(without_area) + " annotations have no area; width * height is used");
    if (without_id) t.warnings.push_back(std::to_string(without_id) + " annotations have no id");
    if (ignored) t.warnings.push_back(std::to_string(ignored) + " annotations say ignore without iscrowd; as in pycocotools only iscrowd ignores");
    if (zero_id) t.warnings.push_back("an annotation has id 0; pycocotools would count its match as a miss (--pycocotools-id0 does the same)");
  } catch (const simdjson::simdjson_error& e) {
    not_json(where, e.error());
  }
  return t;
}

Truth read_truth(const std::filesystem::path& path) { return parse_truth(read_file(path, int64_t{4} << 30), path.string()); }

DetectionSet parse_detections(std::string_view json, const std::string& where, const Truth& truth) {
  simdjson::padded_string text = padded(json);
  od::parser parser;
  od::document doc;
  if (auto e = parser.iterate(text).get(doc)) not_json(where, e);
  DetectionSet d;
  std::unordered_map<int64_t, int32_t> images, categories;
  for (size_t i = 0; i < truth.images.size(); ++i) images[truth.images[i].id] = static_cast<int32_t>(i);
  for (size_t i = 0; i < truth.categories.size(); ++i) categories[truth.categories[i].id] = static_cast<int32_t>(i);
  size_t guess = json.size() / 100;
  d.image.reserve(guess);
  d.category.reserve(guess);
  d.scores.reserve(guess);
  d.boxes.reserve(guess * 4);
  try {
    od::array items;
    if (auto e = doc.get_array().get(items)) {
      if (e == simdjson::INCORRECT_TYPE) throw Error(where, "is not a list of detections", "name a COCO results file");
      not_json(where, e);
    }
    size_t index = 0, unknown = 0, outside = 0;
    for (auto item : items) {
      Path at{where, "detections", index++};
      od::object o;
      if (auto e = item.get_object().get(o)) {
        if (e == simdjson::INCORRECT_TYPE) at.fail("", "is not an object");
        not_json(where, e);
      }
      int64_t image_id = whole(at, "image_id", o.find_field_unordered("image_id"));
      auto image = images.find(image_id);
      if (image == images.end()) at.fail("image_id", std::to_string(image_id) + " is not in the truth", "score against the truth of these images");
      int64_t category_id = whole(at, "category_id", o.find_field_unordered("category_id"));
      double box[4];
      box_of(at, o.find_field_unordered("bbox"), box);
      double score = finite(at, "score", o.find_field_unordered("score"));
      auto category = categories.find(category_id);
      if (category == categories.end()) {
        ++unknown;
        continue;
      }
      outside += score < 0 || score > 1;
      d.image.push_back(image->second);
      d.category.push_back(category->second);
      d.boxes.insert(d.boxes.end(), box, box + 4);
      d.scores.push_back(score);
    }
    if (unknown) d.warnings.push_back(std::to_string(unknown) + " detections are of categories that the truth lacks; they are left out");
    if (outside) d.warnings.push_back(std::to_string(outside) + " scores are outside 0 to 1");
    if (index == 0) d.warnings.push_back("there are no detections (pycocotools would fail)");
  } catch (const simdjson::simdjson_error& e) {
    not_json(where, e.error());
  }
  return d;
}

DetectionSet read_detections(const std::filesystem::path& path, const Truth& truth) {
  return parse_detections(read_file(path, int64_t{4} << 30), path.string(), truth);
}

}  // namespace cytodet
