#include "eval/truth.h"

#include <algorithm>
#include <unordered_set>

#include "core/file.h"
#include "eval/json_fields.h"

namespace cytodet {

using namespace json;

namespace {

std::string text_or(const std::optional<dom::element>& value, std::string otherwise) {
  std::string_view text;
  return value && !value->get_string().get(text) ? std::string(text) : otherwise;
}

int64_t whole_or_zero(const std::optional<dom::element>& value) {
  int64_t i = 0;
  return value && !value->get_int64().get(i) ? i : 0;
}

bool flag(const Path& at, const char* field, const std::optional<dom::element>& value) {
  bool b = false;
  if (!value || value->is_null()) return false;
  return value->get_bool().get(b) ? whole(at, field, *value) != 0 : b;
}

template <class Items>
void sort_unique(Items& items, const std::string& where, const char* list) {
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (size_t i = 1; i < items.size(); ++i)
    if (items[i].id == items[i - 1].id)
      throw Error(where, std::string(list) + ": id " + std::to_string(items[i].id) + " is used twice", "ids must be unique");
}

template <class Items>
int find_id(const Items& items, int64_t id) {
  auto it = std::lower_bound(items.begin(), items.end(), id, [](const auto& a, int64_t v) { return a.id < v; });
  return it != items.end() && it->id == id ? static_cast<int>(it - items.begin()) : -1;
}

dom::array list_of(dom::object root, const std::string& where, const char* list) {
  dom::element value;
  if (root[list].get(value)) throw Error(where, std::string("has no \"") + list + "\"", "name a COCO truth file");
  dom::array items;
  if (value.get_array().get(items)) throw Error(where, std::string("\"") + list + "\" is not an array", "name a COCO truth file");
  return items;
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
  dom::parser parser;
  dom::object root;
  if (parse(parser, json, where).get_object().get(root))
    throw Error(where, "is not a COCO truth object", "it needs \"images\", \"annotations\" and \"categories\"");
  Truth t;
  each_object(list_of(root, where, "images"), where, "images", [&](dom::object o, const Path& at) {
    auto [id, name, width, height] = fields<4>(o, {"id", "file_name", "width", "height"});
    t.images.push_back({whole(at, "id", required(at, "id", id)), text_or(name, ""), whole_or_zero(width), whole_or_zero(height)});
  });
  each_object(list_of(root, where, "categories"), where, "categories", [&](dom::object o, const Path& at) {
    auto [id_field, name] = fields<2>(o, {"id", "name"});
    int64_t id = whole(at, "id", required(at, "id", id_field));
    t.categories.push_back({id, text_or(name, std::to_string(id))});
  });
  sort_unique(t.images, where, "images");
  sort_unique(t.categories, where, "categories");
  size_t without_area = 0, ignored = 0, zero_id = 0, without_id = 0;
  std::unordered_set<int64_t> seen;
  each_object(list_of(root, where, "annotations"), where, "annotations", [&](dom::object o, const Path& at) {
    auto [image_field, category_field, bbox, area_field, crowd_field, ignore_field, id_field] =
        fields<7>(o, {"image_id", "category_id", "bbox", "area", "iscrowd", "ignore", "id"});
    int64_t image_id = whole(at, "image_id", required(at, "image_id", image_field));
    int64_t category_id = whole(at, "category_id", required(at, "category_id", category_field));
    int image = t.image_index(image_id), category = t.category_index(category_id);
    if (image < 0)
      at.fail("image_id", std::to_string(image_id) + " is not among the images", "add the image or drop the annotation");
    if (category < 0)
      at.fail("category_id", std::to_string(category_id) + " is not among the categories",
              "add the category or drop the annotation");
    double box[4];
    box_of(at, required(at, "bbox", bbox), box);
    // Other writers put null where they have nothing.
    if (area_field && area_field->is_null()) area_field.reset();
    if (id_field && id_field->is_null()) id_field.reset();
    double area = area_field ? finite(at, "area", *area_field) : box[2] * box[3];
    bool crowd = flag(at, "iscrowd", crowd_field);
    int64_t id = id_field ? whole(at, "id", *id_field) : static_cast<int64_t>(at.index) + 1;
    if (!seen.insert(id).second) at.fail("id", std::to_string(id) + " is used twice", "ids must be unique");
    without_area += !area_field;
    without_id += !id_field;
    ignored += flag(at, "ignore", ignore_field) && !crowd;
    zero_id += id == 0;
    t.image.push_back(image);
    t.category.push_back(category);
    t.boxes.insert(t.boxes.end(), box, box + 4);
    t.areas.push_back(area);
    t.crowd.push_back(crowd);
    t.ids.push_back(id);
  });
  if (without_area) t.warnings.push_back(std::to_string(without_area) + " annotations have no area; width * height is used");
  if (without_id) t.warnings.push_back(std::to_string(without_id) + " annotations have no id");
  if (ignored)
    t.warnings.push_back(std::to_string(ignored) +
                         " annotations say ignore without iscrowd; as in pycocotools only iscrowd ignores");
  if (zero_id)
    t.warnings.push_back("an annotation has id 0; pycocotools would count its match as a miss (--pycocotools-id0 does the same)");
  return t;
}

Truth read_truth(const std::filesystem::path& path) { return parse_truth(read_file(path, int64_t{4} << 30), path.string()); }

DetectionSet parse_detections(std::string_view json, const std::string& where, const Truth& truth) {
  dom::parser parser;
  dom::array items;
  if (parse(parser, json, where).get_array().get(items))
    throw Error(where, "is not a list of detections", "name a COCO results file");
  DetectionSet d;
  std::unordered_map<int64_t, int32_t> images, categories;
  for (size_t i = 0; i < truth.images.size(); ++i) images[truth.images[i].id] = static_cast<int32_t>(i);
  for (size_t i = 0; i < truth.categories.size(); ++i) categories[truth.categories[i].id] = static_cast<int32_t>(i);
  size_t unknown = 0, outside = 0;
  each_object(items, where, "detections", [&](dom::object o, const Path& at) {
    auto [image_field, category_field, bbox, score_field] = fields<4>(o, {"image_id", "category_id", "bbox", "score"});
    int64_t image_id = whole(at, "image_id", required(at, "image_id", image_field));
    auto image = images.find(image_id);
    if (image == images.end())
      at.fail("image_id", std::to_string(image_id) + " is not in the truth", "score against the truth of these images");
    int64_t category_id = whole(at, "category_id", required(at, "category_id", category_field));
    double box[4];
    box_of(at, required(at, "bbox", bbox), box);
    double score = finite(at, "score", required(at, "score", score_field));
    auto category = categories.find(category_id);
    if (category == categories.end()) {
      ++unknown;
      return;
    }
    outside += score < 0 || score > 1;
    d.image.push_back(image->second);
    d.category.push_back(category->second);
    d.boxes.insert(d.boxes.end(), box, box + 4);
    d.scores.push_back(score);
  });
  if (unknown)
    d.warnings.push_back(std::to_string(unknown) + " detections are of categories that the truth lacks; they are left out");
  if (outside) d.warnings.push_back(std::to_string(outside) + " scores are outside 0 to 1");
  if (items.begin() == items.end()) d.warnings.push_back("there are no detections (pycocotools would fail)");
  return d;
}

DetectionSet read_detections(const std::filesystem::path& path, const Truth& truth) {
  return parse_detections(read_file(path, int64_t{4} << 30), path.string(), truth);
}

}  // namespace cytodet
