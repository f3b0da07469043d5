// What is wrong with a set of detections, and what each kind of error costs: TIDE (Bolya et al. 2020, "TIDE: A General Toolbox
// for Identifying Object Detection Errors"), figure for figure as tidecv computes it. Images count by ascending id.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "eval/ground_truth.h"

namespace cytodet::eval {

// cls, loc, both, dupe and bkg are errors of a detection that is no match: wrong class on a ground truth box; right class, but
// IoU between the background and positive thresholds; both; a second detection of a matched box; on background. miss is the error
// of a ground truth box: not found, and it would not be if one of the errors above were repaired (Bolya et al. 2020, "TIDE").
enum class ErrorKind { cls, loc, both, dupe, bkg, miss };
constexpr size_t kErrorKinds = 6;
const char* name_of(ErrorKind kind);  // tidecv's: Cls, Loc, Both, Dupe, Bkg, Miss

struct ErrorOptions {
  double positive = 0.5, background = 0.1;  // IoU; 0 < background <= positive <= 1
  int max_dets = 100;                       // per image, best first; the rest is left out
  int threads = 0;
};

// AP as a share (0 to 1) at IoU `positive`, mean over classes that occur; tidecv prints percent.
struct ErrorRow {
  std::array<int64_t, kErrorKinds> count{};
  std::array<double, kErrorKinds> gain{};  // dAP: what AP would gain if these errors alone were set right
};
struct ClassErrors : ErrorRow {  // gains are in this class's AP; may be below 0
  std::string name;
  int64_t truths = 0, detections = 0;
  double ap = 0;
};

enum class DetectionOutcome : uint8_t { left_out, ignored, right, wrong };  // beyond max_dets; in a crowd; a match; an error

struct Errors {
  double ap = 0;
  ErrorRow all;                                               // gains at least 0
  double false_positives_gain = 0, false_negatives_gain = 0;  // without any false positive; with all ground truth boxes found
  std::array<ErrorRow, 3> sizes;  // width * height of the ground truth box, or of the detection on none: to 32^2, to 96^2, above
  std::vector<ClassErrors> classes;
  std::vector<DetectionOutcome> detections;              // of each
  std::vector<ErrorKind> kinds;                          // of each that is wrong
  std::vector<uint8_t> found;                            // of each ground truth box: matched
  std::vector<std::array<int64_t, kErrorKinds>> images;  // counts per image of the ground truth
};

// Throws UsageError on options out of range.
Errors find_errors(const GroundTruth& truth, const DetectionSet& detections, const ErrorOptions& options = {});

std::string to_text(const Errors& errors);  // three tables: all, per size, per class
Json to_json(const Errors& errors, const ErrorOptions& options);

}  // namespace cytodet::eval
