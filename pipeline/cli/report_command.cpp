// report: a run as one HTML file.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/file.h"
#include "core/output_plan.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/selection_flags.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/report/run_report.h"

namespace cytodet::pipeline {

std::function<int()> setup_report(CLI::App& app) {
  struct Options {
    std::string results, out, density_area = name_of(DensityOf::regions);
    ReportOptions report;
    ResultsHints hints;
    SelectionFlags selection;
  };
  auto o = std::make_shared<Options>();
  app.add_option("RESULTS", o->results, "Run folder, or COCO results")->required();
  app.add_option("-o,--out", o->out, "The report (.html)")->required();
  app.add_option("--truth", o->report.truth, "COCO ground truth: scores and precision-recall curves");
  app.add_option("--roi", o->report.roi, "Score only inside these regions of interest (default: those of the run)");
  app.add_option("--roi-class", o->report.roi_choice.classes, "With --roi: regions of these classes alone")->delimiter(',');
  app.add_option("--roi-ignore", o->report.roi_choice.ignored, "With --roi: regions of these classes are taken off")
      ->delimiter(',');
  app.add_option("--max-dets", o->report.max_dets,
                 "Boxes per image and class that are scored (default 100, or all of a slide in tiles)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--thumbnails", o->report.thumbnails, "Slides that are shown")->check(CLI::Range(0, 10000));
  app.add_option("--crops", o->report.crops, "Crops of a class and slide; 0: none")->check(CLI::Range(0, 1000));
  app.add_option("--score", o->hints.score, "Score from which boxes count (default: the operating point of the run)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--model", o->hints.model, "Model file whose operating point says which boxes count (default: that of the run)");
  app.add_option("--slide-labels", o->report.slide_labels, "With --truth: table (.csv) of image and label 1 or 0, for ROC");
  app.add_option("--bootstrap", o->report.bootstrap.resamples, "Resamples of the images for intervals; 0: none")
      ->check(CLI::Range(0, 100000));
  app.add_option_function<std::string>(
      "--origin", [o](const std::string& name) { o->report.origin = origin_named(name, "--origin"); },
      "Where GeoJSON regions count from: bounds or slide (default: as the run)");
  app.add_option("--density-area", o->density_area,
                 "What boxes per mm2 are of: regions (all that was looked at), tiles (less background) or slide");
  app.add_option("--classes", o->hints.classes, "Names of category ids 1, 2, ...")->delimiter(',')->allow_extra_args(false);
  app.add_option("--slides", o->hints.slides, "Folder where the slides lie, or the one slide");
  o->selection.add(app);
  return [o] {
    o->hints.truth = o->report.truth;
    o->selection.apply(o->hints.selection);
    o->report.density_area = density_of_named(o->density_area);
    OutputPlan plan;
    add_results(plan.inputs(), o->results);
    plan.add_input(o->report.truth, "the ground truth");
    plan.add_input(o->hints.model, "the model file");
    plan.add_input(o->report.slide_labels, "the labels of slides");
    add_regions(plan.inputs(), o->report.roi);
    if (!o->hints.slides.empty()) add_images(plan.inputs(), {o->hints.slides});
    plan.add_output(o->out, "the report");
    check_outputs(plan);
    SavedResults results(o->results, o->hints);
    const std::string page = html_report(results, o->report);
    write_file(o->out, page);
    std::printf("%s, %.1f MB\n", o->out.c_str(), static_cast<double>(page.size()) / 1e6);
    return 0;
  };
}

}  // namespace cytodet::pipeline
