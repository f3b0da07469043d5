#include "eval/result_images.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "core/error.h"

namespace cytodet::eval {
namespace {

constexpr const char* kNoImage = "is null, as SAHI writes it where it was given no dataset";
constexpr const char* kNoImageAdvice =
    "set it to the image's id (SAHI: result.to_coco_predictions(image_id=ID), or sahi predict --dataset_json_path), or name the "
    "image by --image ID where the command has that";

// The number that a file is called: 12 for "a/0012.jpg"; -1 for others.
int64_t number_called(const std::string& file_name) {
  const std::string stem = without_image_extension(last_component(file_name));
  int64_t number = 0;
  const auto end = std::from_chars(stem.data(), stem.data() + stem.size(), number);
  return !stem.empty() && stem[0] >= '0' && end.ec == std::errc() && end.ptr == stem.data() + stem.size() ? number : -1;
}

std::string name_of(const GroundTruth& truth, int image) { return truth.images[static_cast<size_t>(image)].file_name; }

std::string id_text(const GroundTruthImage& i) { return i.key.empty() ? std::to_string(i.id) : "\"" + i.key + "\""; }

}  // namespace

std::string shown(const ImageRef& r) {
  const std::string id = !r.has_id ? "null" : r.key.empty() ? std::to_string(r.number) : "\"" + r.key + "\"";
  return r.file_name.empty() ? id : id + " (" + r.file_name + ")";
}

size_t ResultImages::observe(const ImageRef& r) {
  const size_t element = elements_++;
  const auto add = [&](size_t at, bool fresh) {
    if (fresh) {
      refs_.push_back(r);
      first_.push_back(element);
    }
    return at;
  };
  if (r.has_id && r.key.empty() && r.file_name.empty()) {
    const auto [it, fresh] = numbers_.try_emplace(r.number, refs_.size());
    return add(it->second, fresh);
  }
  const char* kind = !r.has_id ? "n" : r.key.empty() ? "i" : "t";
  const std::string id = r.key.empty() && r.has_id ? std::to_string(r.number) : r.key;
  const auto [it, fresh] = others_.try_emplace(kind + id + '\0' + r.file_name, refs_.size());
  return add(it->second, fresh);
}

// Elements of an image follow each other.
size_t ResultImages::observe(int64_t number) {
  if (!last_ || last_->first != number) {
    last_ = {number, observe(ImageRef{number, {}, {}, true})};
  } else {
    ++elements_;
  }
  return last_->second;
}

void refuse_no_image(const std::string& where, int64_t element) {
  throw Error(where, "detections[" + std::to_string(element) + "].image_id " + kNoImage, kNoImageAdvice);
}

void ResultImages::refuse(size_t ref, const std::string& what, const std::string& advice) const {
  throw Error(where_, "detections[" + std::to_string(first_[ref]) + "].image_id " + what, advice);
}

bool ResultImages::all_known(const std::vector<int>& images) {
  return std::none_of(images.begin(), images.end(), [](int i) { return i < 0; });
}

std::vector<int> ResultImages::by_id(const GroundTruth& truth) const {
  std::unordered_map<std::string, int> keys;
  for (size_t i = 0; i < truth.images.size(); ++i)
    if (const std::string& key = truth.images[i].key; !key.empty()) keys[key] = static_cast<int>(i);
  std::vector<int> images;
  for (const ImageRef& r : refs_) {
    int image = -1;
    if (!r.key.empty()) {
      const auto it = keys.find(r.key);
      if (it != keys.end()) image = it->second;
    } else if (r.has_id) {
      image = truth.image_index(r.number);
      if (image >= 0 && !truth.images[static_cast<size_t>(image)].key.empty()) image = -1;
    }
    images.push_back(image);
  }
  return images;
}

// Throws where a name may be several images, or two names are one.
std::vector<int> ResultImages::by_name(const GroundTruth& truth) {
  std::vector<int> images(refs_.size(), -1);
  std::map<std::string, std::vector<size_t>> named;
  std::map<int64_t, std::vector<int>> called;  // images whose file is called a number
  std::map<int, size_t> owner;
  for (size_t i = 0; i < truth.images.size(); ++i)
    if (const int64_t n = number_called(truth.images[i].file_name); n >= 0) called[n].push_back(static_cast<int>(i));
  for (size_t i = 0; i < refs_.size(); ++i) {
    const ImageRef& r = refs_[i];
    const std::string& name = r.file_name.empty() ? r.key : r.file_name;
    if (!name.empty()) {
      named[name].push_back(i);
    } else if (const auto it = called.find(r.number); r.has_id && it != called.end()) {
      if (it->second.size() > 1)
        refuse(i, shown(r) + " may be " + name_of(truth, it->second[0]) + " or " + name_of(truth, it->second[1]),
               "write the ground truth's image ids");
      images[i] = it->second[0];
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, unused] : named) names.push_back(name);
  const PathAssignment found = assign_paths(truth.image_names(), names, where_, "image of the ground truth", false);
  name_warnings_.clear();
  for (const std::string& w : found.warnings)  // a text id is a name without its extension
    if (w.find(text_of(Spelling::extension)) == w.npos) name_warnings_.push_back(w);
  size_t n = 0;
  for (const auto& [name, refs] : named) {
    for (const size_t i : refs) images[i] = found.name_of[n];
    ++n;
  }
  for (size_t i = 0; i < images.size(); ++i) {
    if (images[i] < 0) continue;
    const auto [it, fresh] = owner.try_emplace(images[i], i);
    if (!fresh && refs_[it->second].file_name != refs_[i].file_name)
      refuse(i, shown(refs_[i]) + " and " + shown(refs_[it->second]) + " both match " + name_of(truth, images[i]),
             "write the ground truth's image ids");
  }
  return images;
}

bool ResultImages::contradicted(const std::vector<int>& ids, const std::vector<int>& names) const {
  for (size_t i = 0; i < refs_.size(); ++i)
    if (!refs_[i].file_name.empty() && names[i] >= 0 && names[i] != ids[i]) return true;
  return false;
}

void ResultImages::settle_without_ids(const GroundTruth& truth) {
  for (size_t i = 0; i < refs_.size(); ++i) {
    if (refs_[i].has_id || !refs_[i].file_name.empty()) continue;
    if (truth.images.size() != 1 || refs_.size() != 1) refuse(i, kNoImage, kNoImageAdvice);
    images_ = {0};
    warnings.push_back("image_id is null; the detections are taken for the ground truth's only image, " + name_of(truth, 0));
  }
}

void ResultImages::refuse_unknown(const std::vector<int>& ids, const std::vector<int>& names) const {
  for (size_t i = 0; i < refs_.size(); ++i)
    if (ids[i] < 0 && names[i] < 0)
      refuse(i,
             shown(refs_[i]) + " is not in the ground truth" +
                 (refs_[i].key.empty() ? "" : ", neither as an id nor as the name of a file"),
             "score against the ground truth of these images");
  const auto id = static_cast<size_t>(std::find(names.begin(), names.end(), -1) - names.begin());
  refuse(id, shown(refs_[id]) + " is an id of the ground truth, while others are names of files", "write ids of one kind");
}

// Numbers may be meant as those that files are called.
void ResultImages::warn_of_numbers(const GroundTruth& truth, const std::vector<int>& ids) {
  std::vector<int> names;
  try {
    names = by_name(truth);
  } catch (const Error&) {
    return;
  }
  if (!all_known(names)) return;
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] != names[i]) {
      warnings.push_back("image_id is taken for the ground truth's id: " + shown(refs_[i]) + " is " + name_of(truth, ids[i]) +
                         "; should it be the number in the name, that is " + name_of(truth, names[i]));
      return;
    }
}

void ResultImages::settle_run(const GroundTruth& truth, const std::string& where,
                              const std::unordered_map<int64_t, std::string>& paths, bool strangers) {
  where_ = where;
  std::vector<std::string> files;
  for (const ImageRef& r : refs_) {
    const auto it = paths.find(r.number);
    if (!r.has_id || !r.key.empty() || it == paths.end()) return settle(truth, where, strangers);
    files.push_back(it->second);
  }
  const PathAssignment found = assign_paths(truth.image_names(), files, where, "image of the ground truth");
  if (std::all_of(found.name_of.begin(), found.name_of.end(), [](int i) { return i < 0; }))
    return settle(truth, where, strangers);
  images_ = found.name_of;
  warnings.insert(warnings.end(), found.warnings.begin(), found.warnings.end());
  const std::vector<int> ids = by_id(truth);
  size_t lacking = 0, others = 0;
  std::string stranger, other;
  for (size_t i = 0; i < images_.size(); ++i) {
    if (images_[i] < 0 && !lacking++) stranger = files[i];
    if (images_[i] >= 0 && images_[i] != ids[i] && !others++) other = files[i] + " is image " + shown(refs_[i]);
  }
  if (others)
    warnings.push_back("image ids are those of run.json, not the ground truth's; images are matched by their paths: " + other +
                       " there");
  if (lacking)
    warnings.push_back(std::to_string(lacking) + (lacking == 1 ? " image is" : " images are") +
                       " not in the ground truth and not scored: " + stranger + (lacking > 1 ? ", ..." : ""));
}

void ResultImages::settle(const GroundTruth& truth, const std::string& where, bool strangers) {
  where_ = where;
  settle_without_ids(truth);
  if (!images_.empty() || refs_.empty()) return;
  const std::vector<int> ids = by_id(truth);
  const bool named = std::any_of(refs_.begin(), refs_.end(), [](const ImageRef& r) { return !r.file_name.empty(); });
  if (all_known(ids) && !named) {
    warn_of_numbers(truth, ids);
    images_ = ids;
    return;
  }
  std::vector<int> names;
  try {
    names = by_name(truth);
  } catch (const Error&) {
    if (!all_known(ids)) throw;
  }
  if (all_known(ids) && (names.empty() || !contradicted(ids, names))) {
    images_ = ids;
    return;
  }
  if (names.empty()) names.assign(refs_.size(), -1);
  const auto stranger = std::find(names.begin(), names.end(), -1) - names.begin();
  if (static_cast<size_t>(stranger) == names.size()) {
    const GroundTruthImage& example = truth.images[static_cast<size_t>(names[0])];
    images_ = names;
    warnings.push_back("image_id is not the ground truth's id; " + std::to_string(refs_.size()) +
                       (refs_.size() == 1 ? " image is" : " images are") + " matched by name: " + shown(refs_[0]) + " is " +
                       example.file_name + ", id " + id_text(example));
    warnings.insert(warnings.end(), name_warnings_.begin(), name_warnings_.end());
    return;
  }
  if (!strangers && all_known(ids))
    refuse(static_cast<size_t>(stranger),
           shown(refs_[static_cast<size_t>(stranger)]) + " is the ground truth's id of another file",
           "make image_id and file_name agree");
  if (!strangers) refuse_unknown(ids, names);
  // All images are matched in one way, by ids or by names: the one that finds more of them.
  images_ = std::count(ids.begin(), ids.end(), -1) <= std::count(names.begin(), names.end(), -1) ? ids : names;
  warnings.push_back(std::to_string(std::count(images_.begin(), images_.end(), -1)) + " of " + std::to_string(refs_.size()) +
                     " images are not in the ground truth, such as " +
                     shown(refs_[static_cast<size_t>(std::find(images_.begin(), images_.end(), -1) - images_.begin())]));
}

}  // namespace cytodet::eval
