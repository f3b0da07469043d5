#include "pipeline/config/run_config.h"

#include "core/enum_names.h"
#include "core/settings.h"

namespace cytodet::pipeline {
void fields(Fields& f, EvaluateSettings& s) {
  f("max_dets", s.max_dets);
  f("per_class", s.per_class);
}

void fields(Fields& f, ClassifySettings& s) {
  f("batch", s.batch);
  f("top", s.top);
  f("side", s.side);
}

void check(const ClassifySettings& s) {
  if (s.batch < 1 || s.batch > 4096) throw UsageError("classify.batch", "must be 1 to 4096");
  if (s.side && (*s.side < 1 || *s.side > 16384)) throw UsageError("classify.side", "must be 1 to 16384");
  if (s.top < 1) throw UsageError("classify.top", "must be at least 1");
}

const char* name_of(OverlayFormat format) { return format == OverlayFormat::jpg ? "jpg" : "png"; }

OverlayFormat overlay_format_named(const std::string& name, const std::string& where) {
  for (const OverlayFormat format : kOverlayFormats)
    if (name == name_of(format)) return format;
  throw UsageError(where, "must be png or jpg, not \"" + name + "\"");
}

void fields(Fields& f, RunConfig& s) {
  f("model", s.model);
  f("inputs", s.inputs);
  f("truth", s.truth);
  f("output", s.output);
  f("overlay", s.overlay);
  f("overlay_score", s.overlay_score);
  f("operating_score", s.operating_score);
  enum_field(f, "overlay_format", s.overlay_format,
             [](const std::string& name) { return overlay_format_named(name, "overlay_format"); });
  f("outputs", s.outputs);
  enum_field(f, "density_area", s.density_area, density_of_named);
  f("detect", s.detect);
  f("evaluate", s.evaluate);
  f.unless(ClassifySettings(), "classify", s.classify);
  f("quantize", s.quantize);
}

RunConfig read_run_config(const std::filesystem::path& path) {
  return parse_run_config(read_json(path, int64_t{16} << 20), path);
}

RunConfig parse_run_config(const Json& json, const std::filesystem::path& path) {
  RunConfig c;
  read_settings(json, c, path.string());
  if (c.model.empty()) throw UsageError(path.string() + ": model", "is missing", "name a model file");
  if (c.inputs.empty()) throw UsageError(path.string() + ": inputs", "is empty", "name images, slides or folders");
  try {
    check(c.detect);
    check(c.classify);
    if (c.operating_score && !(*c.operating_score >= 0 && *c.operating_score <= 1))
      throw UsageError("operating_score", "must be 0 to 1");
    if (c.quantize) check(*c.quantize);
  } catch (const Error& e) {
    throw e.within(path.string());
  }
  auto resolve = [&](std::string& p) {
    if (!p.empty() && std::filesystem::path(p).is_relative()) p = (path.parent_path() / p).lexically_normal().string();
  };
  resolve(c.model);
  resolve(c.truth);
  resolve(c.output);
  resolve(c.detect.roi);
  for (std::string& input : c.inputs) {
    if (input.starts_with('@')) {
      std::string list = input.substr(1);
      resolve(list);
      input = "@" + list;
    } else {
      resolve(input);
    }
  }
  if (c.quantize) {
    resolve(c.quantize->ranges);
    resolve(c.quantize->record);
    resolve(c.quantize->images);
    if (c.quantize->max_drop >= 0 && c.quantize->images.empty())
      throw UsageError(path.string() + ": quantize.max_drop", "needs truth and quantize.images");
  }
  return c;
}

}  // namespace cytodet::pipeline
