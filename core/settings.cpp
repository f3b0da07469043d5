#include "core/settings.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/file.h"
#include "core/json_repair.h"
#include "core/stray_text.h"
#include "core/suggest.h"
#include "core/text_decode.h"

namespace cytodet::core {
namespace {

constexpr const char* kCheck = "check the file with a JSON tool";

struct Parsed {
  Json json;
  std::string problem;         // empty: read
  std::optional<size_t> byte;  // of the problem
  bool deep = false;
};

Parsed parse_strictly(std::string_view text) {
  Parsed p;
  try {
    p.json = Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
      if (depth > 64) p.deep = true;
      return !p.deep;
    });
  } catch (const Json::parse_error& e) {
    p.problem = "not valid JSON";
    p.byte = e.byte;
  } catch (const Json::exception& e) {
    p.problem = std::string("not valid JSON: ") + e.what();
  }
  return p;
}

}  // namespace

std::string json_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }
std::string json_text(const Json& json) { return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json parse_json(std::string_view bytes, const std::string& where) {
  std::string decoded;
  const std::string_view text = as_utf8(bytes, decoded, where);
  Parsed p = parse_strictly(text);
  if (!p.problem.empty())
    if (const std::optional<RepairedJson> repaired = repair_json(text)) {
      p = parse_strictly(repaired->text);
      if (p.byte) p.byte = repaired->original(*p.byte);
    }
  if (p.deep) throw Error(where, "JSON is nested more than 64 deep");
  if (p.problem.empty()) return std::move(p.json);
  refuse_other_than_json(text, where);
  check_utf8(text, where);
  throw Error(where, p.problem + (p.byte ? " at " + text_position(text, *p.byte) : ""), kCheck);
}

Json read_json(const std::filesystem::path& path, int64_t max_bytes) {
  return parse_json(read_file(path, max_bytes), path.string());
}

void Fields::finish() const {
  if (!json_.is_object()) wrong(path_, json_, "an object");
  for (auto it = json_.begin(); it != json_.end(); ++it)
    if (std::find(known_.begin(), known_.end(), it.key()) == known_.end() &&
        std::find(old_.begin(), old_.end(), it.key()) == old_.end())
      throw UsageError((path_.empty() ? "" : path_ + ".") + it.key(), "unknown key", suggest(it.key(), known_));
}

void Fields::take_old(const char* key, const char* old) {
  if (json_.contains(key))
    throw UsageError((path_.empty() ? "" : path_ + ".") + old,
                     std::string("is an earlier name of ") + key + ", which is given, too", std::string("leave out ") + old);
  old_.push_back(old);
}

void Fields::wrong(const std::string& path, const Json& j, const char* wanted) {
  std::string shown = json_line(j);
  if (shown.size() > 40) shown = shown.substr(0, 40) + "...";
  throw UsageError(path.empty() ? "top level" : path, std::string("must be ") + wanted + ", not " + shown);
}

void Fields::get(const Json& j, bool& v, const std::string& path) {
  if (!j.is_boolean()) wrong(path, j, "true or false");
  v = j.get<bool>();
}
void Fields::get(const Json& j, int64_t& v, const std::string& path) {
  if (!j.is_number_integer() ||
      (j.is_number_unsigned() && j.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())))
    wrong(path, j, "a whole number");
  v = j.get<int64_t>();
}
void Fields::get(const Json& j, int& v, const std::string& path) {
  int64_t wide = 0;
  get(j, wide, path);
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) wrong(path, j, "a smaller whole number");
  v = static_cast<int>(wide);
}
void Fields::get(const Json& j, double& v, const std::string& path) {
  if (!j.is_number() || !std::isfinite(j.get<double>())) wrong(path, j, "a number");
  v = j.get<double>();
}
void Fields::get(const Json& j, float& v, const std::string& path) {
  double wide = 0;
  get(j, wide, path);
  v = static_cast<float>(wide);
}
void Fields::get(const Json& j, std::string& v, const std::string& path) {
  if (!j.is_string()) wrong(path, j, "a string");
  v = j.get<std::string>();
}

}  // namespace cytodet::core
