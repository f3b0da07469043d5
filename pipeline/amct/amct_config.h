// The configuration files of Huawei's AMCT: the simple one (.cfg, protocol buffer text, AMCTConfig) and the full one
// (config.json).
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.h"
#include "quant/observers/observer.h"

namespace cytodet::pipeline {

// How a layer is quantized.
struct AmctLayer {
  bool enabled = true;
  std::string act_algo = "ifmr";  // or hfmg: entries of the observer table
  IfmrOptions search;
  bool asymmetric = true;                 // its input has an offset
  std::string wts_algo = "arq_quantize";  // ada_quantize: rounded by second moments; nuq_quantize: few values
  bool channel_wise = true;
  int num_steps = 32, num_of_iteration = 0;  // of nuq_quantize; the search here is exact and needs no iterations
};

// A .cfg: what holds for a layer is that of its name, else of its type, else the common one.
struct AmctConfig {
  int batch_num = 0;  // samples to calibrate on; 0: all
  bool activation_offset = true, do_fusion = true;
  std::set<std::string> skip_layers, skip_layer_types;
  AmctLayer common;
  std::map<std::string, AmctLayer> by_type, by_layer;
  std::vector<std::string> notes;  // fields that have no meaning here, one line each

  AmctLayer layer(const std::string& name, const std::string& type) const;
};

// Throws Error with the line: unknown fields and algorithms (with the nearest), values outside of what AMCT allows.
AmctConfig parse_amct_cfg(std::string_view text);

// A config.json: every layer by name. Layers that are left out stay in float.
struct AmctPlan {
  int batch_num = 0;
  bool activation_offset = true, do_fusion = true;
  std::map<std::string, AmctLayer> layers;
};
AmctPlan parse_amct_json(std::string_view text, const std::string& where);
Json amct_json(const AmctPlan& plan);

}  // namespace cytodet::pipeline
