// How a network is quantized: keys of a run config and options of the commands.
#pragma once

#include <string>

#include "core/json_fwd.h"
#include "quant/observers/observer.h"
#include "quant/quantize.h"

namespace cytodet::pipeline {

// How weights become 8-bit values. Texts in files and on the command line: auto, nearest, gptq.
enum class Rounding {
  automatic,  // gptq where there are images
  nearest,
  gptq  // by the second moments of what layers read
};
// Throws UsageError with the known ones.
Rounding rounding_named(const std::string& name);

// The observer of calibration: null for "auto", else the observer of this name. Throws UsageError with the known ones.
const ObserverEntry* calibration_method_named(const std::string& name);

struct QuantizeSettings {
  std::string ranges;                     // of calibrate; empty: calibrate on `images`
  std::string images;                     // folder of images; for a bare graph, of feeds
  int max_images = 100;                   // to calibrate on
  const ObserverEntry* method = nullptr;  // of calibration; null: minmax, or mse where images show that it is better
  double percentile = 99.9999;            // of --method percentile
  std::string record;  // quantization records of AMCT, by which layers are quantized; ranges are then not needed
  Rounding rounding = Rounding::automatic;  // of weights
  QuantizeOptions layers;                   // in files its fields stand among the others
  double max_drop = -1;                     // of AP or top-1; layers return to float until it is met; < 0: not measured
  bool search = true;                       // look for the cause where INT8 is far from float (pipeline/quantize/int8_search.h)
  bool force = false;                       // also write a network that stays far from float
  // For the command line, never in files, which must not run programs: calibration by a command, see
  // pipeline/quantize/callback.h.
  std::string callback;
  double callback_timeout = 3600;  // seconds; 0: none
  std::string callback_folder;     // where the graph that it runs lies
};
// The observer that calibration begins with: minmax where none is named, since rare cells are what a cut would cut off.
std::string first_observer(const QuantizeSettings& s);
void fields(Fields& f, QuantizeSettings& s);
// Throws UsageError on what cannot be; without `needs_ranges` ranges, images and records may all be missing.
void check(const QuantizeSettings& s, bool needs_ranges = true);

}  // namespace cytodet::pipeline
