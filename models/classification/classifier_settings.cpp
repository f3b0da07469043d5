#include "models/classification/classifier_settings.h"

#include <algorithm>

#include "core/enum_names.h"
#include "core/error.h"
#include "core/settings.h"
#include "models/common/need.h"

namespace cytodet::models {
namespace {

constexpr EnumName<ResizeMethod> kMethods[] = {
    {ResizeMethod::stretch, "stretch"}, {ResizeMethod::short_side, "short_side"}, {ResizeMethod::central_crop, "central_crop"}};
constexpr EnumName<SideRounding> kRoundings[] = {{SideRounding::down, "down"}, {SideRounding::nearest, "nearest"}};
constexpr EnumName<Sampling> kSamplings[] = {
    {Sampling::half_pixel, "half_pixel"}, {Sampling::legacy, "legacy"}, {Sampling::align_corners, "align_corners"}};

struct JpegKeys {
  JpegDecoding& jpeg;
};
void fields(Fields& f, JpegKeys& s) {
  f("fast_dct", s.jpeg.fast_dct);
  f("fancy_upsampling", s.jpeg.fancy_upsampling);
}

}  // namespace

void fields(Fields& f, ResizeSettings& s) {
  enum_field(f, "method", s.method, kMethods, "resize.method");
  f("short_side", s.short_side);
  enum_field(f, "rounding", s.rounding, kRoundings, "resize.rounding");
  f("fraction", s.fraction);
  enum_field(f, "sampling", s.sampling, kSamplings, "resize.sampling");
}

void ClassificationSettings::describe(Fields& f) {
  f("output", output);
  f("logits", logits);
  f("label_offset", label_offset);
  f("resize", resize);
  JpegKeys keys{jpeg};
  f("jpeg", keys);
}

ClassificationSettings& classification_settings(const ModelFile& model) {
  if (auto* own = dynamic_cast<ClassificationSettings*>(model.own.get())) return *own;
  throw Error(model.name, "is no model file of a classification network");
}

void check_classification(const ModelFile& model, const std::string& where) {
  const ClassificationSettings& s = classification_settings(model);
  need(!s.output.empty(), "output", "must name the node that gives the scores", where);
  need(s.label_offset >= -1000000 && s.label_offset <= 1000000, "label_offset", "must be -1000000 to 1000000", where);
  need(s.resize.short_side > 0 && s.resize.short_side <= 16384, "resize.short_side", "must be 1 to 16384", where);
  need(s.resize.method != ResizeMethod::short_side || s.resize.short_side >= std::max(model.input.width, model.input.height),
       "resize.short_side", "must not be less than the input's sides, which are cut out of it", where);
  need(s.resize.fraction > 0 && s.resize.fraction <= 1, "resize.fraction", "must be over 0, at most 1", where);
}

}  // namespace cytodet::models
