#include "pipeline/amct/amct_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/proto_text.h"
#include "core/settings.h"
#include "core/suggest.h"

namespace cytodet::pipeline {
namespace {

using Names = std::vector<std::string>;

void require_one_of(const ProtoField& f, int64_t value, std::initializer_list<int64_t> allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  std::string list;
  for (int64_t v : allowed) list += (list.empty() ? "" : " or ") + std::to_string(v);
  throw Error(f.where(), "is " + std::to_string(value), list);
}

std::string bounds(double low, double high) {
  char text[80];
  std::snprintf(text, sizeof text, low == high ? "%.9g" : "%.9g to %.9g", low, high);
  return text;
}

double number_in(const ProtoField& f, double low, double high) {
  const double v = f.number();
  if (!(v >= low && v <= high)) throw Error(f.where(), "is " + f.scalar + ", and must be " + bounds(low, high));
  return v;
}

int count_in(const ProtoField& f, int low, int high) {
  f.integer();  // throws for 1.5
  return static_cast<int>(number_in(f, low, high));
}

constexpr double kMinFactor = 1e-6, kMaxFactor = 1000;

void check_search(const IfmrOptions& s, const std::string& where) {
  if (!(s.search_end <= kMaxFactor))
    throw Error(where, "has a search range that ends above " + json_line(kMaxFactor), "0.7 to 1.3");
  if (!(s.search_start >= kMinFactor && s.search_start <= s.search_end))
    throw Error(where, "has a search range that begins above its end, or below " + json_line(kMinFactor), "0.7 to 1.3");
  if (!(s.search_step > 0 && (s.search_end - s.search_start) / s.search_step <= 1000))
    throw Error(where, "has a search step that makes more than 1,000 steps, or none", "0.01");
}

void take_ifmr(const ProtoField& at, AmctLayer& l) {
  static const Names known{"search_range_start", "search_range_end", "search_step",
                           "max_percentile",     "min_percentile",   "asymmetric"};
  l.act_algo = "ifmr";
  for (const ProtoField& f : at.message()) {
    f.require_known(known);
    if (f.name == "search_range_start") l.search.search_start = number_in(f, kMinFactor, kMaxFactor);
    if (f.name == "search_range_end") l.search.search_end = number_in(f, kMinFactor, kMaxFactor);
    if (f.name == "search_step") l.search.search_step = number_in(f, kMinFactor, kMaxFactor);
    if (f.name == "max_percentile") l.search.max_percentile = number_in(f, 0.500001, 1);
    if (f.name == "min_percentile") l.search.min_percentile = number_in(f, 0.500001, 1);
    if (f.name == "asymmetric") l.asymmetric = f.boolean();
  }
  check_search(l.search, at.where());
}

void take_hfmg(const ProtoField& at, AmctLayer& l) {
  l.act_algo = "hfmg";
  for (const ProtoField& f : at.message()) {
    f.require_known({"num_of_bins", "asymmetric"});
    if (f.name == "num_of_bins") l.search.bins = count_in(f, 1024, 8192);
    if (f.name == "asymmetric") l.asymmetric = f.boolean();
  }
}

void take_nuq(const ProtoField& at, AmctLayer& l) {
  l.wts_algo = "nuq_quantize";
  for (const ProtoField& f : at.message()) {
    f.require_known({"num_steps", "num_of_iteration"});
    if (f.name == "num_steps") require_one_of(f, l.num_steps = static_cast<int>(f.integer()), {16, 32});
    if (f.name == "num_of_iteration") l.num_of_iteration = count_in(f, 0, 5);
  }
}

void take_arq(const ProtoField& at, AmctLayer& l) {
  l.wts_algo = "arq_quantize";
  for (const ProtoField& f : at.message()) {
    f.require_known({"channel_wise", "quant_bits"});
    if (f.name == "channel_wise") l.channel_wise = f.boolean();
    if (f.name == "quant_bits") require_one_of(f, f.integer(), {8});
  }
}

void take_ada(const ProtoField& at, AmctLayer& l) {
  l.wts_algo = "ada_quantize";
  static const Names known{"num_iteration", "reg_param", "beta_range_start", "beta_range_end", "warm_start", "channel_wise"};
  for (const ProtoField& f : at.message()) {
    f.require_known(known);
    if (f.name == "channel_wise")
      l.channel_wise = f.boolean();
    else if (f.name == "num_iteration")
      f.integer();
    else
      f.number();
  }
}

void take_calibration(const ProtoField& at, AmctLayer& l) {
  static const Names known{"arq_quantize", "nuq_quantize", "ada_quantize", "ifmr_quantize", "hfmg_quantize", "dmq_balancer"};
  int weights = 0, activations = 0;
  for (const ProtoField& f : at.message()) {
    f.require_known(known);
    weights += f.name.starts_with("arq") || f.name.starts_with("nuq") || f.name.starts_with("ada");
    activations += f.name.starts_with("ifmr") || f.name.starts_with("hfmg");
    if (f.name == "arq_quantize") take_arq(f, l);
    if (f.name == "nuq_quantize") take_nuq(f, l);
    if (f.name == "ada_quantize") take_ada(f, l);
    if (f.name == "ifmr_quantize") take_ifmr(f, l);
    if (f.name == "hfmg_quantize") take_hfmg(f, l);
    if (f.name == "dmq_balancer")
      for (const ProtoField& m : f.message()) {
        m.require_known({"migration_strength"});
        number_in(m, 0.2, 0.8);
      }
  }
  if (weights > 1 || activations > 1)
    throw Error(at.where(), std::string("names two algorithms for ") + (weights > 1 ? "weights" : "activations"),
                "leave out one");
}

// { layer_name: ".." calibration_config { .. } }
void take_override(const ProtoField& at, const char* key, std::map<std::string, const ProtoField*>& overrides) {
  std::string name;
  const ProtoField* config = nullptr;
  for (const ProtoField& f : at.message()) {
    f.require_known({key, "calibration_config"});
    if (f.name == key)
      name = f.text();
    else
      config = &f;
  }
  if (name.empty() || !config) throw Error(at.where(), std::string("needs ") + key + " and calibration_config");
  overrides[name] = config;
}

// The nuq_config of the samples: which layers are coded so is chosen by size here, its mapping file is for the chip.
void take_nuq_config(const ProtoField& at, AmctConfig& c) {
  for (const ProtoField& f : at.message()) {
    f.require_known({"mapping_file", "nuq_quantize"});
    if (f.name == "nuq_quantize") take_nuq(f, c.common);
    if (f.name == "mapping_file") {
      f.text();
      c.notes.push_back("mapping_file tells which layers the chip would compress, and is not needed");
    }
  }
}

}  // namespace

AmctConfig parse_amct_cfg(std::string_view text) {
  static const Names known{"batch_num",
                           "activation_offset",
                           "joint_quant",
                           "skip_layers",
                           "skip_layer_types",
                           "skip_approximation_layers",
                           "fakequant_precision_mode",
                           "nuq_config",
                           "common_config",
                           "override_layer_types",
                           "override_layer_configs",
                           "do_fusion",
                           "skip_fusion_layers",
                           "tensor_quantize"};
  AmctConfig c;
  std::map<std::string, const ProtoField*> types, layers;
  const std::vector<ProtoField> fields = parse_proto_text(text);
  for (const ProtoField& f : fields) {
    f.require_known(known);
    if (f.name == "batch_num") c.batch_num = count_in(f, 1, 1 << 20);
    if (f.name == "activation_offset") c.activation_offset = f.boolean();
    if (f.name == "do_fusion") c.do_fusion = f.boolean();
    if (f.name == "joint_quant" && f.boolean()) c.notes.push_back("joint_quant shares scales between layers, and is not done");
    if (f.name == "skip_layers") c.skip_layers.insert(f.text());
    if (f.name == "skip_layer_types") c.skip_layer_types.insert(f.text());
    if (f.name == "nuq_config") take_nuq_config(f, c);
    if (f.name == "common_config") take_calibration(f, c.common);
    if (f.name == "override_layer_types") take_override(f, "layer_type", types);
    if (f.name == "override_layer_configs") take_override(f, "layer_name", layers);
    if (f.name == "skip_fusion_layers" || f.name == "skip_approximation_layers" || f.name == "fakequant_precision_mode" ||
        f.name == "tensor_quantize")
      c.notes.push_back(f.name + " has no meaning here, and is not followed");
  }
  if (!c.do_fusion) c.notes.push_back("do_fusion: batch norms are folded in any case");
  // What is not said of a type or layer is as in common, wherever that stands.
  for (const auto& [name, config] : types) take_calibration(*config, c.by_type[name] = c.common);
  for (const auto& [name, config] : layers) take_calibration(*config, c.by_layer[name] = c.common);
  return c;
}

AmctLayer AmctConfig::layer(const std::string& name, const std::string& type) const {
  AmctLayer l = common;
  if (const auto of_layer = by_layer.find(name); of_layer != by_layer.end())
    l = of_layer->second;
  else if (const auto of_type = by_type.find(type); of_type != by_type.end())
    l = of_type->second;
  l.enabled = !skip_layers.contains(name) && !skip_layer_types.contains(type);
  l.asymmetric = l.asymmetric && activation_offset;
  if (type == "MatMul") l.channel_wise = false;
  return l;
}

namespace {

[[noreturn]] void bad_member(const std::string& path, const char* wanted) { throw Error(path, std::string("must be ") + wanted); }

void require_members(const Json& object, const std::string& path, const Names& known) {
  if (!object.is_object()) bad_member(path, "an object");
  for (auto it = object.begin(); it != object.end(); ++it)
    if (std::find(known.begin(), known.end(), it.key()) == known.end())
      throw Error((path.empty() ? "" : path + ".") + it.key(), "is not a known field", suggest(it.key(), known));
}

double json_number(const Json& object, const char* key, const std::string& path, double missing, double low, double high) {
  const auto it = object.find(key);
  if (it == object.end()) return missing;
  if (!it->is_number()) bad_member(path + "." + key, "a number");
  const double v = it->get<double>();
  if (!(v >= low && v <= high))
    throw Error((path.empty() ? "" : path + ".") + key, "is " + json_line(*it) + ", and must be " + bounds(low, high));
  return v;
}

int json_count(const Json& object, const char* key, const std::string& path, int missing, int low, int high) {
  const double v = json_number(object, key, path, missing, low, high);
  if (v != std::floor(v)) bad_member(path + "." + key, "a whole number");
  return static_cast<int>(v);
}

bool json_flag(const Json& object, const char* key, const std::string& path, bool missing) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return missing;
  if (!it->is_boolean()) bad_member(path + "." + key, "true or false");
  return it->get<bool>();
}

std::string json_algorithm(const Json& object, const char* key, const std::string& path, const Names& known) {
  const auto it = object.find(key);
  if (it == object.end()) return known.front();
  if (!it->is_string()) bad_member(path + "." + key, "a text");
  const std::string name = it->get<std::string>();
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw Error(path + "." + key, "is \"" + name + "\"", suggest(name, known));
  return name;
}

void take_activations(const Json& j, const std::string& path, AmctLayer& l) {
  require_members(
      j, path,
      {"num_bits", "max_percentile", "min_percentile", "search_range", "search_step", "act_algo", "asymmetric", "num_of_bins"});
  json_count(j, "num_bits", path, 8, 8, 8);
  l.act_algo = json_algorithm(j, "act_algo", path, {"ifmr", "hfmg"});
  l.search.max_percentile = json_number(j, "max_percentile", path, l.search.max_percentile, 0.500001, 1);
  l.search.min_percentile = json_number(j, "min_percentile", path, l.search.min_percentile, 0.500001, 1);
  l.search.search_step = json_number(j, "search_step", path, l.search.search_step, kMinFactor, kMaxFactor);
  l.search.bins = json_count(j, "num_of_bins", path, l.search.bins, 1024, 8192);
  if (const auto it = j.find("search_range"); it != j.end()) {
    if (!it->is_array() || it->size() != 2 || !(*it)[0].is_number() || !(*it)[1].is_number())
      bad_member(path + ".search_range", "two numbers");
    l.search.search_start = (*it)[0].get<double>();
    l.search.search_end = (*it)[1].get<double>();
  }
  check_search(l.search, path);
  l.asymmetric = json_flag(j, "asymmetric", path, l.asymmetric);
}

void take_weights(const Json& j, const std::string& path, AmctLayer& l) {
  require_members(j, path,
                  {"num_bits", "wts_algo", "channel_wise", "num_steps", "num_of_iteration", "num_iteration", "reg_param",
                   "beta_range", "warm_start"});
  json_count(j, "num_bits", path, 8, 8, 8);
  l.wts_algo = json_algorithm(j, "wts_algo", path, {"arq_quantize", "nuq_quantize", "ada_quantize"});
  l.channel_wise = json_flag(j, "channel_wise", path, l.channel_wise);
  l.num_steps = json_count(j, "num_steps", path, l.num_steps, 16, 32);
  if (l.num_steps != 16 && l.num_steps != 32) throw Error(path + ".num_steps", "is " + std::to_string(l.num_steps), "16 or 32");
  l.num_of_iteration = json_count(j, "num_of_iteration", path, l.num_of_iteration, 0, 5);
}

AmctLayer layer_of_json(const Json& j, const std::string& name, bool activation_offset) {
  require_members(j, name, {"quant_enable", "dmq_balancer_param", "activation_quant_params", "weight_quant_params"});
  AmctLayer l;
  l.enabled = json_flag(j, "quant_enable", name, true);
  l.asymmetric = activation_offset;
  json_number(j, "dmq_balancer_param", name, 0.5, 0.2, 0.8);
  if (const auto it = j.find("activation_quant_params"); it != j.end())
    take_activations(*it, name + ".activation_quant_params", l);
  if (const auto it = j.find("weight_quant_params"); it != j.end()) take_weights(*it, name + ".weight_quant_params", l);
  return l;
}

Json layer_json(const AmctLayer& l) {
  Json act{{"num_bits", 8}, {"act_algo", l.act_algo}, {"asymmetric", l.asymmetric}};
  if (l.act_algo == "hfmg") {
    act["num_of_bins"] = l.search.bins;
  } else {
    act["max_percentile"] = l.search.max_percentile;
    act["min_percentile"] = l.search.min_percentile;
    act["search_range"] = {l.search.search_start, l.search.search_end};
    act["search_step"] = l.search.search_step;
  }
  Json wts{{"num_bits", 8}, {"wts_algo", l.wts_algo}, {"channel_wise", l.channel_wise}};
  if (l.wts_algo == "nuq_quantize") {
    wts["num_steps"] = l.num_steps;
    wts["num_of_iteration"] = l.num_of_iteration;
  }
  return {{"quant_enable", l.enabled}, {"activation_quant_params", act}, {"weight_quant_params", wts}};
}

}  // namespace

AmctPlan parse_amct_json(std::string_view text, const std::string& where) {
  const Json j = parse_json(text, where);
  try {
    if (!j.is_object()) bad_member("", "an object");
    AmctPlan plan;
    json_number(j, "version", "", 1, 1, 1);
    plan.batch_num = json_count(j, "batch_num", "", 0, 1, 1 << 20);
    plan.activation_offset = json_flag(j, "activation_offset", "", true);
    plan.do_fusion = json_flag(j, "do_fusion", "", true);
    static const std::set<std::string> general{
        "version", "batch_num", "activation_offset", "do_fusion", "skip_fusion_layers", "joint_quant", "tensor_quantize"};
    for (auto it = j.begin(); it != j.end(); ++it)
      if (!general.contains(it.key())) plan.layers[it.key()] = layer_of_json(*it, it.key(), plan.activation_offset);
    return plan;
  } catch (const Error& e) {
    throw e.within(where);
  }
}

Json amct_json(const AmctPlan& plan) {
  Json j{{"version", 1}, {"batch_num", std::max(1, plan.batch_num)}, {"activation_offset", plan.activation_offset}};
  j["do_fusion"] = plan.do_fusion;
  j["skip_fusion_layers"] = Json::array();
  for (const auto& [name, layer] : plan.layers) j[name] = layer_json(layer);
  return j;
}

}  // namespace cytodet::pipeline
