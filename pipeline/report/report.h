// The report of a run: one HTML file with everything in it.
#pragma once

#include <string>

#include "pipeline/outputs/saved_results.h"

namespace cytodet {

struct ReportOptions {
  std::string truth;       // COCO; empty: no scores
  int max_dets = 100;      // scored per image and class
  int thumbnails = 24;     // slides that are shown, the first of the list
  int thumbnail_px = 720;  // longer side
  double score = 0.4;      // least score of a box in a picture
};

// Totals, scores with precision-recall curves, a row per slide (state, reason, size, boxes per class, density, time), time per
// stage, slides with their boxes, settings. A slide that cannot be read is named in its picture's place.
std::string html_report(SavedResults& results, const ReportOptions& options);

}  // namespace cytodet
