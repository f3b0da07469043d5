#include "quant/ranges.h"

#include <charconv>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/settings.h"
#include "core/shortest_number.h"

namespace cytodet::quant {
namespace {

constexpr int64_t kMaxBytes = int64_t{256} << 20;
constexpr size_t kMaxValues = 1000000, kMaxChannels = 1 << 20;
const char* const kRemake = "make it again with cytodet calibrate";

[[noreturn]] void wrong(const std::string& field, const std::string& what) { throw Error(field, what, kRemake); }

const Json& member(const Json& object, const char* key, const std::string& field) {
  auto it = object.find(key);
  if (it == object.end()) wrong(field, "is missing");
  return *it;
}

std::string text(const Json& object, const char* key) {
  const Json& j = member(object, key, key);
  if (!j.is_string()) wrong(key, "must be a string");
  return j.get<std::string>();
}

float finite(const Json& j, const std::string& field) {
  if (!j.is_number()) wrong(field, "must be a number");
  double v = j.get<double>();
  if (!rounds_to_float(v)) wrong(field, "is not a finite float");
  return static_cast<float>(v);
}

std::vector<float> finites(const Json& object, const char* key, const std::string& field) {
  auto it = object.find(key);
  if (it == object.end()) return {};
  if (!it->is_array() || it->size() > kMaxChannels)
    wrong(field, "must be an array of at most " + std::to_string(kMaxChannels) + " numbers");
  std::vector<float> values;
  for (const Json& j : *it) values.push_back(finite(j, field + "[" + std::to_string(values.size()) + "]"));
  return values;
}

void require_upright(float low, float high, const std::string& field) {
  if (low > high) wrong(field, "is upside down: low " + std::to_string(low) + " is above high " + std::to_string(high));
}

Range read_range(const Json& j, const std::string& field) {
  if (!j.is_object()) wrong(field, "must be an object with \"low\" and \"high\"");
  static const std::set<std::string> known{"low", "high", "degenerate", "channel_low", "channel_high", "channel_mean"};
  for (auto it = j.begin(); it != j.end(); ++it)
    if (!known.contains(it.key())) wrong(field + "." + it.key(), "is not a known field");
  Range r;
  r.low = finite(member(j, "low", field + ".low"), field + ".low");
  r.high = finite(member(j, "high", field + ".high"), field + ".high");
  require_upright(r.low, r.high, field);
  r.channel_low = finites(j, "channel_low", field + ".channel_low");
  r.channel_high = finites(j, "channel_high", field + ".channel_high");
  r.channel_mean = finites(j, "channel_mean", field + ".channel_mean");
  if (r.channel_low.size() != r.channel_high.size()) wrong(field, "has channel_low and channel_high of different lengths");
  for (size_t c = 0; c < r.channel_low.size(); ++c)
    require_upright(r.channel_low[c], r.channel_high[c], field + " channel " + std::to_string(c));
  return r;
}

Ranges parse(const Json& json) {
  if (!json.is_object()) wrong("top level", "must be an object");
  Ranges ranges;
  ranges.method = text(json, "method");
  ranges.data = text(json, "data");
  ranges.graph_hash = text(json, "graph_hash");
  const Json& images = member(json, "images", "images");
  if (!images.is_number_integer() || images.get<int64_t>() < 0) wrong("images", "must be a whole number, 0 or more");
  ranges.images = images.get<int64_t>();
  const Json& values = member(json, "values", "values");
  if (!values.is_object() || values.size() > kMaxValues)
    wrong("values", "must be an object of at most " + std::to_string(kMaxValues) + " ranges");
  for (auto it = values.begin(); it != values.end(); ++it)
    if (!ranges.values.emplace(it.key(), read_range(it.value(), "values." + it.key())).second)
      wrong("values." + it.key(), "is there twice");
  return ranges;
}

Json shortest_doubles(const std::vector<float>& values) {
  Json j = Json::array();
  for (float v : values) j.push_back(shortest_double(v));
  return j;
}

Json to_json(const Range& r) {
  Json j{{"low", shortest_double(r.low)}, {"high", shortest_double(r.high)}};
  if (is_degenerate(r)) j["degenerate"] = true;
  if (!r.channel_low.empty()) {
    j["channel_low"] = shortest_doubles(r.channel_low);
    j["channel_high"] = shortest_doubles(r.channel_high);
  }
  if (!r.channel_mean.empty()) j["channel_mean"] = shortest_doubles(r.channel_mean);
  return j;
}

}  // namespace

bool is_degenerate(const Range& range) { return !(range.low < range.high); }

Ranges parse_ranges(std::string_view json, const std::string& where) {
  try {
    return parse(parse_json(json, ""));
  } catch (const Error& e) {
    throw e.within(where);
  }
}

Ranges read_ranges(const std::filesystem::path& path) { return parse_ranges(read_file(path, kMaxBytes), path.string()); }

void write_ranges(const Ranges& ranges, const std::filesystem::path& path) {
  std::string text = "{\n";
  for (const auto& [key, value] : {std::pair{"method", ranges.method}, {"data", ranges.data}, {"graph_hash", ranges.graph_hash}})
    text += " " + Json(key).dump() + ": " + json_line(value) + ",\n";
  text += " \"images\": " + std::to_string(ranges.images) + ",\n \"values\": {";
  const char* comma = "\n";
  for (const auto& [name, range] : ranges.values) {
    text += comma + ("  " + json_line(name)) + ": " + to_json(range).dump();
    comma = ",\n";
  }
  write_file(path, text + "\n }\n}\n");
}

}  // namespace cytodet::quant
