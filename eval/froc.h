// FROC: sensitivity over false positives per image (Bunch et al. 1977, "A free response approach to the measurement and
// characterization of radiographic observer performance").
#pragma once

#include <array>
#include <span>
#include <vector>

#include "eval/bootstrap.h"
#include "eval/class_outcomes.h"

namespace cytodet::eval {

// False positives per image, or per mm², at which sensitivities are reported: those of CAMELYON16 (Ehteshami Bejnordi et al.
// 2017). There values between two scores are interpolated; here the sensitivity is that of a score which can be set.
constexpr std::array<double, 6> kFrocRates = {0.25, 0.5, 1, 2, 4, 8};

struct FrocPoint {
  double rate = 0, sensitivity = 0;  // false positives per image or mm², share of the truths found
};
struct Froc {
  std::vector<FrocPoint> curve;       // at each score that occurs, falling
  std::vector<Estimate> sensitivity;  // at kFrocRates: of the scores with at most so many false positives, the lowest
  Estimate mean;                      // of those sensitivities
};
// `mm2`: per image; empty: rates are per image. Sensitivities of a class without truths are undefined.
Froc froc(const ClassOutcomes& outcomes, std::span<const double> mm2, const Bootstrap& bootstrap);

}  // namespace cytodet::eval
