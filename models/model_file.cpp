#include "models/model_file.h"

#include "core/file.h"
#include "core/settings.h"
#include "models/common/need.h"
#include "models/registry.h"

namespace cytodet::models {

void fields(Fields& f, ModelFile& s) {
  if (!s.family.empty()) f("family", s.family);
  f("name", s.name);
  f("graph", s.graph);
  f("input", s.input);
  if (FamilySettings* own = s.own.get()) own->describe(f);
  f("classes", s.classes);
  f("category_ids", s.category_ids);
  f("suppression", s.suppression);
}

namespace {

ModelFile read_keys(const Json& json, const std::string& where) {
  ModelFile m;
  const ModelFamily& family = family_of(json, where);
  if (json.is_object() && json.contains("family")) m.family = family.name;
  m.own = family.settings();
  read_settings(json, m, where);
  return m;
}

}  // namespace

ModelFile parse_model_file(const Json& json, const std::string& where) {
  ModelFile m = read_keys(json, where);
  check(m, where);
  return m;
}

void check(const ModelFile& m, const std::string& where) {
  check(m.input, where);
  family_of(m).check(m, where);
  need(!m.classes.empty() && m.classes.size() <= 10000, "classes", "must name the classes", where);
  need(m.category_ids.empty() || m.category_ids.size() == m.classes.size(), "category_ids", "must have one id per class", where);
  check(m.suppression, where);
}

ModelFile read_model_file(const std::filesystem::path& path) {
  ModelFile m = read_keys(read_json(path, int64_t{16} << 20), path.string());
  if (m.graph.empty()) throw UsageError(path.string() + ": graph", "is missing", "name the frozen graph");
  check(m, path.string());
  std::filesystem::path graph = m.graph;
  if (graph.is_relative()) m.graph = (path.parent_path() / graph).string();
  return m;
}

void write_model_file(const ModelFile& model, const std::filesystem::path& path) {
  ModelFile m = model;
  const std::filesystem::path folder = std::filesystem::absolute(path).lexically_normal().parent_path();
  m.graph = std::filesystem::absolute(model.graph).lexically_normal().lexically_relative(folder).string();
  write_file(path, write_settings(m).dump(1) + "\n");
}

}  // namespace cytodet::models
