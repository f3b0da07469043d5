#include "quant/record.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"
#include "core/file.h"
#include "core/proto_text.h"

namespace cytodet::quant {
namespace {

constexpr int64_t kMaxRecordBytes = int64_t{256} << 20;
const char* const kRemakeRecord = "quantize the network again to make it anew";

const std::vector<std::string>& value_fields() {
  static const std::vector<std::string> known{"scale_d",
                                              "offset_d",
                                              "scale_w",
                                              "offset_w",
                                              "shift_bit",
                                              "cluster",
                                              "skip_fusion",
                                              "dst_type",
                                              "act_type",
                                              "wts_type",
                                              "tensor_balance_factor"};
  return known;
}

float positive(const ProtoField& f) {
  const auto v = static_cast<float>(f.number());
  if (!(v > 0) || !std::isfinite(v))
    throw Error(f.where(), "is " + f.scalar + ": a scale must be above 0 and finite", kRemakeRecord);
  return v;
}

int int8_field(const ProtoField& f) {
  const int64_t v = f.integer();
  if (v < -128 || v > 127) throw Error(f.where(), "is " + f.scalar + ", outside of -128..127");
  return static_cast<int>(v);
}

LayerRecord layer_record(const ProtoField& value) {
  LayerRecord r;
  bool has_scale = false;
  size_t weight_offsets = 0;
  for (const ProtoField& f : value.message()) {
    f.require_known(value_fields());
    if (f.name == "scale_d") {
      r.scale_d = positive(f);
      has_scale = true;
    } else if (f.name == "offset_d") {
      r.offset_d = int8_field(f);
    } else if (f.name == "scale_w") {
      r.scale_w.push_back(positive(f));
    } else if (f.name == "offset_w") {
      if (f.integer() != 0) throw Error(f.where(), "is " + f.scalar + ": weights have no offset", "0");
      ++weight_offsets;
    } else if (f.name == "cluster") {
      r.cluster.push_back(int8_field(f));
    } else if (f.name == "skip_fusion") {
      r.skip_fusion = f.boolean();
    } else if (f.name == "tensor_balance_factor") {
      if (f.number() != 1)
        throw Error(f.where(), "is " + f.scalar + ": balanced inputs are not read", "quantize without dmq_balancer");
    } else if (f.name == "shift_bit") {
      throw Error(f.where(), "is not read: results are not shifted here", "quantize without joint_quant");
    } else if (f.scalar != "INT8" && f.scalar != "UNSET") {
      throw Error(f.where(), "is " + f.scalar, "INT8");
    }
  }
  if (!has_scale || r.scale_w.empty()) throw Error(value.where(), std::string("has no ") + (has_scale ? "scale_w" : "scale_d"));
  if (weight_offsets > 1 && weight_offsets != r.scale_w.size())
    throw Error(value.where(),
                "has " + std::to_string(r.scale_w.size()) + " scale_w and " + std::to_string(weight_offsets) + " offset_w");
  std::sort(r.cluster.begin(), r.cluster.end());
  r.cluster.erase(std::unique(r.cluster.begin(), r.cluster.end()), r.cluster.end());
  return r;
}

std::string number_text(float v) {
  char text[32];
  for (int digits : {6, 9}) {
    std::snprintf(text, sizeof text, "%.*g", digits, static_cast<double>(v));
    if (std::strtof(text, nullptr) == v) break;
  }
  return text;
}

std::string quoted_text(const std::string& s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + "\"";
}

}  // namespace

Records parse_records(std::string_view text) {
  Records records;
  for (const ProtoField& record : parse_proto_text(text)) {
    record.require_known({"record"});
    std::string key;
    const ProtoField* value = nullptr;
    for (const ProtoField& f : record.message()) {
      f.require_known({"key", "value"});
      if (f.name == "key") key = f.text();
      if (f.name == "value") value = &f;
    }
    if (key.empty() || !value) throw Error(record.where(), std::string("has no ") + (key.empty() ? "key" : "value"));
    LayerRecord r;
    try {
      r = layer_record(*value);
    } catch (const Error& e) {
      throw Error(e.where(), "of " + key + " " + e.problem(), e.fix());
    }
    if (!records.emplace(key, std::move(r)).second) throw Error(record.where(), "is the second one of " + key);
  }
  if (records.empty()) throw Error("", "holds no record", kRemakeRecord);
  return records;
}

Records read_records(const std::filesystem::path& path) {
  const std::string text = read_file(path, kMaxRecordBytes);
  try {
    return parse_records(text);
  } catch (const Error& e) {
    throw e.within(path.string());
  }
}

std::string records_text(const Records& records) {
  std::string out;
  for (const auto& [layer, r] : records) {
    out += "record {\n  key: " + quoted_text(layer) + "\n  value {\n";
    const auto line = [&](const char* name, const std::string& value) {
      out += std::string("    ") + name + ": " + value + "\n";
    };
    line("scale_d", number_text(r.scale_d));
    line("offset_d", std::to_string(r.offset_d));
    for (float s : r.scale_w) line("scale_w", number_text(s));
    for (size_t i = 0; i < r.scale_w.size(); ++i) line("offset_w", "0");
    for (int c : r.cluster) line("cluster", std::to_string(c));
    if (r.skip_fusion) line("skip_fusion", "true");
    out += "  }\n}\n";
  }
  return out;
}

}  // namespace cytodet::quant
