#include "pipeline/config/quantize_settings.h"

#include "core/error.h"
#include "core/settings.h"
#include "quant/observers/observer.h"

namespace cytodet::pipeline {

void fields(Fields& f, QuantizeSettings& s) {
  f("ranges", s.ranges);
  f("images", s.images);
  f("max_images", s.max_images);
  f("method", s.method);
  f("percentile", s.percentile);
  f("per_channel", s.layers.per_channel);
  f("symmetric", s.layers.symmetric);
  f("bias_correction", s.layers.bias_correction);
  f("full_range", s.layers.full_range);
  f("reduce_range", s.layers.reduce_range);
  f("equalize", s.layers.equalize);
  f("elementwise", s.layers.elementwise);
  f("exclude_ops", s.layers.exclude_ops);
  f("exclude_nodes", s.layers.exclude_nodes);
  f("max_drop", s.max_drop);
  f("search", s.search);
  f("force", s.force);
}

void check(const QuantizeSettings& s) {
  if (!s.callback.empty() && !s.ranges.empty())
    throw UsageError("--callback", "is given beside --ranges", "leave out one of them");
  if (s.ranges.empty() && s.images.empty() && s.callback.empty())
    throw UsageError("quantize", "needs ranges, or images to calibrate on", "run cytodet calibrate, or name a folder of images");
  if (s.max_images < 1) throw UsageError("quantize.max_images", "must be at least 1");
  if (!(s.max_drop <= 1)) throw UsageError("quantize.max_drop", "must be at most 1", "0.005 is half a point of AP");
  if (!(s.percentile >= 50 && s.percentile <= 100)) throw UsageError("quantize.percentile", "must be 50 to 100");
  if (s.layers.full_range && s.layers.reduce_range) throw UsageError("quantize.full_range", "contradicts reduce_range");
  require_observer(s.method);
}

}  // namespace cytodet::pipeline
