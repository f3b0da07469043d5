#include "pipeline/config/quantize_settings.h"

#include "core/enum_names.h"
#include "core/error.h"
#include "core/settings.h"
#include "core/suggest.h"

namespace cytodet::pipeline {
namespace {

constexpr const char* kAutomatic = "auto";
constexpr EnumName<Rounding> kRoundings[] = {
    {Rounding::automatic, kAutomatic}, {Rounding::nearest, "nearest"}, {Rounding::gptq, "gptq"}};

}  // namespace

Rounding rounding_named(const std::string& name) {
  if (const Rounding* rounding = value_in(kRoundings, name)) return *rounding;
  throw UsageError("quantize.rounding", "is \"" + name + "\", and there is no such rounding",
                   suggest(name, names_of(kRoundings)));
}

const ObserverEntry* calibration_method_named(const std::string& name) {
  return name == kAutomatic ? nullptr : &require_observer(name);
}

std::string first_observer(const QuantizeSettings& s) { return s.method ? s.method->name : "minmax"; }

void fields(Fields& f, QuantizeSettings& s) {
  f("ranges", s.ranges);
  f("images", s.images);
  f("max_images", s.max_images);
  std::string method = s.method ? s.method->name : kAutomatic, rounding = name_in(kRoundings, s.rounding);
  f("method", method);
  s.method = calibration_method_named(method);
  f("percentile", s.percentile);
  f.unless(std::string(), "record", s.record);
  f.unless(std::string(kAutomatic), "rounding", rounding);
  s.rounding = rounding_named(rounding);
  f.unless(8, "weight_bits", s.layers.weight_bits);
  f.unless(std::vector<std::string>(), "eight_bit_nodes", s.layers.eight_bit_nodes);
  f.unless(0, "nuq_steps", s.layers.nuq_steps);
  f("per_channel", s.layers.per_channel);
  f("symmetric", s.layers.symmetric);
  f("bias_correction", s.layers.bias_correction);
  f("full_range", s.layers.full_range);
  f("reduce_range", s.layers.reduce_range);
  f("equalize", s.layers.equalize);
  f.unless(std::optional<bool>(), "elementwise", s.layers.elementwise);
  f("exclude_ops", s.layers.exclude_ops);
  f("exclude_nodes", s.layers.exclude_nodes);
  f("max_drop", s.max_drop);
  f("search", s.search);
  f("force", s.force);
}

void check(const QuantizeSettings& s, bool needs_ranges) {
  if (!s.callback.empty() && !s.ranges.empty())
    throw UsageError("--callback", "is given beside --ranges", "leave out one of them");
  if (needs_ranges && s.ranges.empty() && s.images.empty() && s.callback.empty() && s.record.empty())
    throw UsageError("quantize", "needs ranges, or images to calibrate on, or records",
                     "run cytodet calibrate, or name a folder of images");
  if (s.max_images < 1) throw UsageError("quantize.max_images", "must be at least 1");
  if (!(s.max_drop <= 1)) throw UsageError("quantize.max_drop", "must be at most 1", "0.005 is half a point of AP");
  if (!(s.percentile >= 50 && s.percentile <= 100)) throw UsageError("quantize.percentile", "must be 50 to 100");
  if (s.layers.full_range && s.layers.reduce_range) throw UsageError("quantize.full_range", "contradicts reduce_range");
  if (s.layers.weight_bits != 4 && s.layers.weight_bits != 8) throw UsageError("quantize.weight_bits", "must be 4 or 8");
  if (s.layers.nuq_steps != 0 && s.layers.nuq_steps != 16 && s.layers.nuq_steps != 32)
    throw UsageError("quantize.nuq_steps", "must be 16 or 32", "or 0: weights are spread evenly");
  if (s.layers.nuq_steps != 0 && s.layers.weight_bits != 8)
    throw UsageError("quantize.nuq_steps", "chooses among the values of 8 bits", "leave out weight_bits");
  if (s.rounding == Rounding::gptq && s.images.empty())
    throw UsageError("quantize.rounding", "gptq needs images", "name some with --images, or round to the nearest");
}

}  // namespace cytodet::pipeline
