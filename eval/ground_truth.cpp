#include "eval/ground_truth.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "core/file.h"
#include "eval/detection_blocks.h"
#include "eval/json_fields.h"
#include "eval/result_images.h"

namespace cytodet::eval {

namespace {

std::string text_or(const std::optional<dom::element>& value, std::string otherwise) {
  std::string_view text;
  return value && !value->get_string().get(text) ? std::string(text) : std::move(otherwise);
}

int64_t whole_or_zero(const std::optional<dom::element>& value) {
  int64_t i = 0;
  return value && !value->get_int64().get(i) ? i : 0;
}

bool flag(const json::Path& at, const char* field, const std::optional<dom::element>& value) {
  bool b = false;
  if (!value || value->is_null()) return false;
  return value->get_bool().get(b) ? json::whole(at, field, *value) != 0 : b;
}

std::string shown(const json::Id& id) { return id.text.empty() ? std::to_string(id.number) : "\"" + id.text + "\""; }

template <class Items>
void sort_unique(Items& items, const std::string& where, const char* list) {
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (size_t i = 1; i < items.size(); ++i)
    if (items[i].id == items[i - 1].id)
      throw Error(where, std::string(list) + ": id " + shown({items[i].id, items[i].key}) + " is used twice",
                  "ids must be unique");
}

// Texts get numbers above the others, in their order: so pycocotools sorts them.
template <class Items>
std::unordered_map<std::string, int64_t> number_texts(Items& items) {
  int64_t largest = 0;
  std::map<std::string, int64_t> numbers;
  for (const auto& item : items)
    if (item.key.empty())
      largest = std::max(largest, item.id);
    else
      numbers[item.key];
  for (auto& [text, number] : numbers) number = ++largest;
  for (auto& item : items)
    if (!item.key.empty()) item.id = numbers[item.key];
  return {numbers.begin(), numbers.end()};
}

template <class Items>
int find_id(const Items& items, int64_t id) {
  auto it = std::lower_bound(items.begin(), items.end(), id, [](const auto& a, int64_t v) { return a.id < v; });
  return it != items.end() && it->id == id ? static_cast<int>(it - items.begin()) : -1;
}

// Index of the item with this id, which may be a text; -1: unknown. A number that stands for a text is nobody's id.
template <class Items>
int index_of(const Items& items, const json::Id& id, const std::unordered_map<std::string, int64_t>& texts) {
  if (!id.text.empty()) {
    const auto it = texts.find(id.text);
    return it == texts.end() ? -1 : find_id(items, it->second);
  }
  const int i = find_id(items, id.number);
  return i >= 0 && items[static_cast<size_t>(i)].key.empty() ? i : -1;
}

dom::array list_of(dom::object root, const std::string& where, const char* list) {
  dom::element value;
  if (root[list].get(value)) throw Error(where, std::string("has no \"") + list + "\"", "name a COCO ground truth file");
  dom::array items;
  if (value.get_array().get(items))
    throw Error(where, std::string("\"") + list + "\" is not an array", "name a COCO ground truth file");
  return items;
}

}  // namespace

int GroundTruth::image_index(int64_t id) const { return find_id(images, id); }
int GroundTruth::category_index(int64_t id) const { return find_id(categories, id); }

int GroundTruth::category_of_class(int64_t id, const std::string& name) const {
  const bool texts = std::any_of(categories.begin(), categories.end(), [](const auto& c) { return !c.key.empty(); });
  if (!texts) return category_index(id);
  for (size_t i = 0; i < categories.size(); ++i)
    if (categories[i].name == name) return static_cast<int>(i);
  return -1;
}

int64_t GroundTruth::free_id() const {
  const int64_t largest = images.empty() ? 0 : std::max<int64_t>(0, images.back().id);
  if (largest > int64_t{1} << 62)
    throw Error(where, "has image ids so large that none is left for other images", "number them from 1");
  return largest + 1;
}

PathIndex GroundTruth::image_names() const {
  std::vector<std::string> names;
  for (const GroundTruthImage& i : images) names.push_back(i.file_name.empty() ? i.key : i.file_name);
  return PathIndex(std::move(names));
}

PathAssignment GroundTruth::images_of(const std::vector<std::string>& paths) const {
  return assign_paths(image_names(), paths, where, "image of the ground truth");
}

GroundTruth parse_ground_truth(std::string_view json, const std::string& where) {
  dom::parser parser;
  dom::object root;
  if (json::parse(parser, json, where).get_object().get(root))
    throw Error(where, "is not a COCO ground truth object", "it needs \"images\", \"annotations\" and \"categories\"");
  GroundTruth t;
  t.where = where;
  json::each_object(list_of(root, where, "images"), where, "images", [&](dom::object o, const json::Path& at) {
    auto [id, name, width, height] = json::fields<4>(o, {"id", "file_name", "width", "height"});
    const json::Id own = json::id_of(at, "id", json::required(at, "id", id));
    t.images.push_back({own.number, text_or(name, ""), whole_or_zero(width), whole_or_zero(height), own.text});
  });
  json::each_object(list_of(root, where, "categories"), where, "categories", [&](dom::object o, const json::Path& at) {
    auto [id_field, name] = json::fields<2>(o, {"id", "name"});
    const json::Id id = json::id_of(at, "id", json::required(at, "id", id_field));
    t.categories.push_back({id.number, text_or(name, id.text.empty() ? std::to_string(id.number) : id.text), id.text});
  });
  const auto image_texts = number_texts(t.images), category_texts = number_texts(t.categories);
  sort_unique(t.images, where, "images");
  sort_unique(t.categories, where, "categories");
  size_t without_area = 0, ignored = 0, zero_id = 0, without_id = 0;
  std::unordered_set<int64_t> seen;
  std::unordered_set<std::string> seen_texts;
  json::each_object(list_of(root, where, "annotations"), where, "annotations", [&](dom::object o, const json::Path& at) {
    auto [image_field, category_field, bbox, area_field, crowd_field, ignore_field, id_field] =
        json::fields<7>(o, {"image_id", "category_id", "bbox", "area", "iscrowd", "ignore", "id"});
    const json::Id image_id = json::id_of(at, "image_id", json::required(at, "image_id", image_field));
    const json::Id category_id = json::id_of(at, "category_id", json::required(at, "category_id", category_field));
    const int image = index_of(t.images, image_id, image_texts), category = index_of(t.categories, category_id, category_texts);
    if (image < 0) at.fail("image_id", shown(image_id) + " is not among the images", "add the image or drop the annotation");
    if (category < 0)
      at.fail("category_id", shown(category_id) + " is not among the categories", "add the category or drop the annotation");
    double box[4];
    json::box_of(at, json::required(at, "bbox", bbox), box);
    // Other writers put null where they have nothing.
    if (area_field && area_field->is_null()) area_field.reset();
    if (id_field && id_field->is_null()) id_field.reset();
    double area = area_field ? json::finite(at, "area", *area_field) : box[2] * box[3];
    bool crowd = flag(at, "iscrowd", crowd_field);
    const bool has_id = id_field && !id_field->is_null();
    const json::Id own = has_id ? json::id_of(at, "id", *id_field) : json::Id{static_cast<int64_t>(at.index) + 1, {}};
    if (own.text.empty() ? !seen.insert(own.number).second : !seen_texts.insert(own.text).second)
      at.fail("id", shown(own) + " is used twice", "ids must be unique");
    const int64_t id = own.text.empty() ? own.number : static_cast<int64_t>(at.index) + 1;
    without_area += !area_field;
    without_id += !has_id;
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

GroundTruth read_ground_truth(const std::filesystem::path& path) {
  return parse_ground_truth(read_file(path, int64_t{4} << 30), path.string());
}

namespace {

// Categories of the ground truth by what results call them: their ids, or texts that are their ids or names.
class CategoryIds {
 public:
  explicit CategoryIds(const GroundTruth& truth) {
    for (size_t i = 0; i < truth.categories.size(); ++i) {
      const GroundTruthCategory& c = truth.categories[i];
      const auto index = static_cast<int32_t>(i);
      if (c.key.empty()) numbers_[c.id] = index;
      if (const auto [it, fresh] = texts_.try_emplace(c.name, index); !fresh) it->second = -1;
    }
    for (size_t i = 0; i < truth.categories.size(); ++i)
      if (const std::string& key = truth.categories[i].key; !key.empty()) texts_[key] = static_cast<int32_t>(i);
  }
  int32_t index_of(const json::Id& id) const {
    if (id.text.empty()) {
      const auto it = numbers_.find(id.number);
      return it == numbers_.end() ? -1 : it->second;
    }
    const auto it = texts_.find(id.text);
    return it == texts_.end() ? -1 : it->second;
  }

 private:
  std::unordered_map<int64_t, int32_t> numbers_;
  std::unordered_map<std::string, int32_t> texts_;
};

// From numbers of refs to images of the ground truth; detections of others go.
void keep_known(DetectionSet& d, const ResultImages& images) {
  size_t n = 0;
  for (size_t i = 0; i < d.size(); ++i) {
    const int image = images.image(static_cast<size_t>(d.image[i]));
    if (image < 0) continue;
    d.image[n] = image;
    d.category[n] = d.category[i];
    std::copy_n(d.boxes.begin() + static_cast<std::ptrdiff_t>(4 * i), 4, d.boxes.begin() + static_cast<std::ptrdiff_t>(4 * n));
    d.scores[n++] = d.scores[i];
  }
  d.image.resize(n);
  d.category.resize(n);
  d.boxes.resize(4 * n);
  d.scores.resize(n);
}

}  // namespace

namespace {

// What is counted while detections are read.
struct Strange {
  size_t unknown = 0, outside = 0;  // elements of categories that the ground truth lacks; scores outside 0 to 1
};

DetectionSet finished(DetectionSet d, ResultImages& images, const Strange& strange, bool any, const std::string& where,
                      const GroundTruth& truth, const PathsOfIds& paths) {
  if (paths.empty())
    images.settle(truth, where);
  else
    images.settle_run(truth, where, paths);
  keep_known(d, images);
  d.warnings = images.warnings;
  if (strange.unknown)
    d.warnings.push_back(std::to_string(strange.unknown) +
                         " detections are of categories that the ground truth lacks; they are left out");
  if (strange.outside) d.warnings.push_back(std::to_string(strange.outside) + " scores are outside 0 to 1");
  if (!any) d.warnings.push_back("there are no detections (pycocotools would fail)");
  return d;
}

DetectionSet joined(const std::vector<DetectionBlock>& blocks, ResultImages& images, Strange& strange) {
  DetectionSet d;
  size_t count = 0;
  for (const DetectionBlock& b : blocks) count += b.scores.size();
  d.image.reserve(count);
  d.category.reserve(count);
  d.boxes.reserve(4 * count);
  d.scores.reserve(count);
  for (const DetectionBlock& b : blocks)
    for (size_t i = 0; i < b.scores.size(); ++i) {
      const size_t image = images.observe(b.image[i]);
      if (b.category[i] < 0) {
        ++strange.unknown;
        continue;
      }
      strange.outside += b.scores[i] < 0 || b.scores[i] > 1;
      d.image.push_back(static_cast<int32_t>(image));
      d.category.push_back(b.category[i]);
      d.boxes.insert(d.boxes.end(), &b.boxes[4 * i], &b.boxes[4 * i] + 4);
      d.scores.push_back(b.scores[i]);
    }
  return d;
}

}  // namespace

DetectionSet parse_detections(std::string_view json, const std::string& where, const GroundTruth& truth,
                              const PathsOfIds& paths) {
  const CategoryIds categories(truth);
  if (const auto blocks = detection_blocks(json, where, [&](int64_t id) { return categories.index_of(json::Id{id, {}}); })) {
    ResultImages images;
    Strange strange;
    DetectionSet d = joined(*blocks, images, strange);
    return finished(std::move(d), images, strange, true, where, truth, paths);
  }
  dom::parser parser;
  dom::array items;
  if (json::parse(parser, json, where).get_array().get(items))
    throw Error(where, "is not a list of detections", "name a COCO results file");
  DetectionSet d;
  ResultImages images;
  Strange strange;
  json::each_object(items, where, "detections", [&](dom::object o, const json::Path& at) {
    auto [image_field, category_field, bbox, score_field, file_name] =
        json::fields<5>(o, {"image_id", "category_id", "bbox", "score", "file_name"});
    json::ResultIds ids = json::result_ids(at, image_field, category_field, file_name);
    const int32_t category = categories.index_of(ids.category);
    const size_t image = images.observe({ids.image.number, std::move(ids.image.text), std::move(ids.file_name), ids.has_image});
    double box[4];
    json::box_of(at, json::required(at, "bbox", bbox), box);
    double score = json::finite(at, "score", json::required(at, "score", score_field));
    if (category < 0) {
      ++strange.unknown;
      return;
    }
    strange.outside += score < 0 || score > 1;
    d.image.push_back(static_cast<int32_t>(image));
    d.category.push_back(category);
    d.boxes.insert(d.boxes.end(), box, box + 4);
    d.scores.push_back(score);
  });
  return finished(std::move(d), images, strange, items.begin() != items.end(), where, truth, paths);
}

DetectionSet read_detections(const std::filesystem::path& path, const GroundTruth& truth, const PathsOfIds& paths) {
  return parse_detections(read_file(path, int64_t{4} << 30), path.string(), truth, paths);
}

}  // namespace cytodet::eval
