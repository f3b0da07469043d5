#include "models/model_file.h"

#include "core/file.h"
#include "core/json_edit.h"
#include "core/settings.h"
#include "core/text_decode.h"
#include "models/common/need.h"
#include "models/registry.h"

namespace cytodet::models {

void fields(Fields& f, ModelFile& s) {
  if (!s.family.empty()) f("family", s.family);
  f("name", s.name);
  f("graph", s.graph);
  f("input", s.input);
  if (FamilySettings* own = s.own.get()) own->describe(f);
  if (s.classes_file.empty() && s.numbered_classes == 0) f("classes", s.classes);
  f.unless(std::string(), "classes_file", s.classes_file);
  f.unless(0, "class_count", s.numbered_classes);
  if (family_of(s).kind != NetworkKind::detection) return;
  f("category_ids", s.category_ids);
  f("suppression", s.suppression);
  f.unless(std::optional<OperatingScores>(), "operating_scores", s.operating_scores);
}

namespace {

constexpr size_t kMaxClasses = 100'000;

ModelFile read_keys(const Json& json, const std::string& where) {
  ModelFile m;
  const ModelFamily& family = family_of(json, where);
  if (json.is_object() && json.contains("family")) m.family = family.name;
  m.own = family.settings();
  read_settings(json, m, where);
  const int ways = !m.classes.empty() + !m.classes_file.empty() + (m.numbered_classes != 0);
  need(ways <= 1, "classes", "are given in more than one way: classes, classes_file, class_count", where);
  need(m.numbered_classes >= 0 && m.numbered_classes <= static_cast<int>(kMaxClasses), "class_count",
       "must be 1 to " + std::to_string(kMaxClasses), where);
  for (int i = 0; i < m.numbered_classes; ++i) m.classes.push_back(std::to_string(i));
  return m;
}

}  // namespace

std::vector<std::string> read_class_names(const std::string& file) {
  const std::string text = decode_text(read_file(file, int64_t{16} << 20), file);
  check_utf8(text, file);
  std::vector<std::string> names;
  for (std::string_view line : lines_of_text(text)) {
    const size_t first = line.find_first_not_of(" \t");
    names.emplace_back(first == std::string_view::npos ? "" : line.substr(first, line.find_last_not_of(" \t") + 1 - first));
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  if (names.empty() || names.size() > kMaxClasses)
    throw Error(file, "names " + std::to_string(names.size()) + " classes",
                "write one name a line, at most " + std::to_string(kMaxClasses));
  return names;
}

ModelFile parse_model_file(const Json& json, const std::string& where) {
  ModelFile m = read_keys(json, where);
  check(m, where);
  return m;
}

void check(const ModelFile& m, const std::string& where) {
  check(m.input, where);
  family_of(m).check(m, where);
  const bool named = (m.classes.empty() && !m.classes_file.empty()) || (!m.classes.empty() && m.classes.size() <= kMaxClasses);
  need(named, "classes", "must name the classes, at most " + std::to_string(kMaxClasses), where);
  need(m.category_ids.empty() || m.category_ids.size() == m.classes.size(), "category_ids", "must have one id per class", where);
  check(m.suppression, where);
  if (m.operating_scores && !m.classes.empty()) check(*m.operating_scores, m.classes, where);
}

ModelFile read_model_file(const std::filesystem::path& path) {
  ModelFile m = read_keys(read_json(path, int64_t{16} << 20), path.string());
  if (m.graph.empty()) throw UsageError(path.string() + ": graph", "is missing", "name the frozen graph");
  for (std::string* named : {&m.graph, &m.classes_file})
    if (!named->empty() && std::filesystem::path(*named).is_relative()) *named = (path.parent_path() / *named).string();
  if (!m.classes_file.empty()) m.classes = read_class_names(m.classes_file);
  check(m, path.string());
  return m;
}

void write_operating_scores(const std::filesystem::path& path, const OperatingScores& scores) {
  const ModelFile m = read_model_file(path);
  if (family_of(m).kind != NetworkKind::detection) throw Error(path.string(), "is of a network that does not detect");
  check(scores, m.classes, path.string());
  // A line for each class: wide, but people compare them by eye.
  Json j = write_settings(scores);
  const Json classes = j["classes"];
  std::string lines;
  for (const Json& c : classes) lines += (lines.empty() ? "\n    " : ",\n    ") + json_line(c);
  j.erase("classes");
  std::string text = json_line(j);
  text.insert(text.size() - 1, ",\n   \"classes\":[" + lines + "]");
  write_file(path, with_json_key(read_file(path, int64_t{16} << 20), "operating_scores", text, path.string()));
}

void write_model_file(const ModelFile& model, const std::filesystem::path& path) {
  ModelFile m = model;
  const std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal().parent_path();
  for (std::string* named : {&m.graph, &m.classes_file})
    if (!named->empty()) *named = std::filesystem::absolute(*named).lexically_normal().lexically_relative(folder).string();
  write_file(path, write_settings(m).dump(1) + "\n");
}

}  // namespace cytodet::models
