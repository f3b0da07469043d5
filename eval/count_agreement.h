// How far counts of cells agree with the truth, image by image.
#pragma once

#include <span>
#include <vector>

#include "eval/bootstrap.h"

namespace cytodet::eval {

struct CountPair {
  double truth = 0, found = 0;  // of one image or slide
};
struct CountAgreement {
  std::vector<CountPair> pairs;   // per image
  Estimate bias;                  // mean of found - truth (Bland & Altman 1986, "Statistical methods for assessing agreement")
  Estimate deviation;             // standard deviation of found - truth, by n - 1
  Estimate lower, upper;          // limits of agreement: bias -+ 1.96 deviations, between which 95 % of differences lie
  Estimate concordance;           // Lin 1989, "A concordance correlation coefficient to evaluate reproducibility", moments by n
  Estimate mean_error;            // mean of |found - truth|
  Estimate mean_relative_error;   // mean of |found - truth| / truth, over images with truth > 0
  Estimate total_relative_error;  // (sum of found - sum of truth) / sum of truth
};
// A deviation needs two images, concordance counts that differ between images: undefined otherwise.
CountAgreement count_agreement(std::vector<CountPair> pairs, const Bootstrap& bootstrap);

}  // namespace cytodet::eval
