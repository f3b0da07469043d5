// The report of a run: one HTML file with everything in it.
#pragma once

#include <optional>
#include <string>

#include "eval/bootstrap.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/saved_results.h"
#include "tiling/regions/roi.h"

namespace cytodet::pipeline {

struct ReportOptions {
  std::string truth;           // COCO; empty: no scores
  std::string roi;             // regions of interest that are scored; empty: those of the run, where it had any
  RoiChoice roi_choice;        // with roi: of these classes
  int max_dets = 0;            // scored per image and class; 0: 100, or as many as a slide in tiles has
  std::string slide_labels;    // table of labels of slides; empty: no ROC
  BootstrapOptions bootstrap;  // of the figures for screening and counting
  int thumbnails = 24;         // slides that are shown, the first of the list
  int thumbnail_px = 720;      // longer side
  int crops = 12;              // of a class and slide on its contact sheet; 0: no sheets
  DensityOf density_area = DensityOf::regions;
  std::optional<Origin> origin;  // of the regions' coordinates; none: that of the run, or bounds
};

// Totals, scores with precision-recall curves and the figures for screening and counting, a row per slide (state, reason, size,
// boxes per class, density, time), time per stage, slides with their boxes that count (SavedResults::counting), their densities
// and the top-scoring crops of each class, settings. A slide that cannot be read is named in its image's place.
std::string html_report(SavedResults& results, const ReportOptions& options);

}  // namespace cytodet::pipeline
