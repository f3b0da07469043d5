// Options that quantize and sensitivity share.
#pragma once

#include <optional>
#include <string>

#include "core/output_plan.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/config/detect_settings.h"
#include "pipeline/config/quantize_settings.h"
#include "pipeline/quantize/quantize_modes.h"
#include "pipeline/quantize/target.h"

namespace CLI {
class App;
}

namespace cytodet::pipeline {

struct QuantizeFlags {
  std::string graph, out, dump_dir, report, truth, write_record, dump_feeds, io = "uint8";
  QuantizeMode mode = QuantizeMode::int8;
  GraphFlags target;
  QuantizeSettings settings;
  DetectSettings detection;
  std::optional<bool> per_channel;
  bool per_tensor = false, per_channel_flag = false, no_bias_correction = false, no_equalization = false, elementwise = false,
       no_elementwise = false, quiet = false, may_be_quantized = false, fake_quant = false, no_check = false, overwrite = false,
       own_name = false;

  void add(CLI::App& app);  // how layers are quantized; of both commands
  void finish();            // flags into settings; throws UsageError on what cannot be
};

// What the flags ask to quantize.
QuantizationTarget read_target(const QuantizeFlags& flags);
// The files that both read.
void add_inputs(OutputPlan& plan, const QuantizeFlags& flags);

}  // namespace cytodet::pipeline
