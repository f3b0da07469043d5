// What became of each layer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "pipeline/quantize/quantize_model.h"

namespace cytodet::pipeline {

struct LayerRow {
  QuantizedLayer layer;
  std::string kernel;             // of the step that holds it; empty: the shapes are not known
  std::optional<double> sqnr_db;  // of what it gives after its bias, all before it as quantized as it is; with samples only
};

// With samples: at most 4 of them are run through both networks.
std::vector<LayerRow> layer_rows(const QuantizationTarget& target, const Quantized& quantized, const CalibrationData* samples);

std::string layer_table(const std::vector<LayerRow>& rows);
Json layers_json(const std::vector<LayerRow>& rows);

}  // namespace cytodet::pipeline
