// Detections of images against COCO ground truth.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/coco.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/run_folder.h"
#include "tiling/regions/roi.h"

namespace cytodet::pipeline {

// The files in `inputs` (files and folders) that are images of the ground truth, see GroundTruth::images_of; folders in folders
// are looked into where the ground truth's file_name fields name folders. Looser matches and files that the ground truth lacks
// are reported in `warnings`. Throws Error when none is left; `where` is the ground truth's file.
std::vector<std::string> images_in_ground_truth(const GroundTruth& truth, const std::vector<std::string>& inputs,
                                                const std::string& where, std::vector<std::string>& warnings);
// The ground truth of these images alone.
GroundTruth truth_of(const GroundTruth& truth, const std::vector<std::string>& images);
// Failed images and those that the ground truth does not know are left out.
DetectionSet to_set(const DetectReport& report, const GroundTruth& truth, const ModelFile& model);
// The detections of a run folder's done slides.
DetectionSet to_set(const RunFolder& folder, const RunState& state, const GroundTruth& truth);

// What regions that count from a slide's scanned part (RoiFrame::viewer) need: the bounds of an image of the ground truth, by its
// file_name. Without it they are taken to count from the slide's own corner.
struct RoiPlaces {
  Origin origin = Origin::bounds;
  std::function<std::optional<PixelArea>(const std::string& file_name)> bounds = {};
};
// The bounds of these files, each opened when it is asked for; a warning names an image that may have bounds and is not among
// them.
RoiPlaces places_of(Origin origin, const std::vector<std::string>& files);
// The bounds that a run recorded; those of runs of earlier versions are read from their slides.
RoiPlaces places_of(const RunState& state, Origin origin);
// The ground truth's images where they lie beside it.
std::vector<std::string> files_beside(const GroundTruth& truth, const std::string& truth_file);

// Leaves only what lies in regions of interest, by the centres of boxes: ground truth, and detections of it. Nothing is left of
// images that have no region. Annotations that are regions themselves (category "roi") go as well.
void keep_in_roi(const RoiSource& regions, const RoiPlaces& places, GroundTruth& truth, DetectionSet& set);
// With the regions of a file or folder; empty: everything stays.
void keep_in_roi(const std::string& regions, const RoiPlaces& places, GroundTruth& truth, DetectionSet& set,
                 const RoiChoice& choice = {});
// What the results say of the ground truth's images.
struct ScoredImages {
  std::vector<double> mm2;     // what was looked at of each; empty unless it is known of all
  std::vector<uint8_t> tiled;  // of each, whether it was cut into tiles
};
ScoredImages scored_images(const std::vector<const ImageResult*>& images, const GroundTruth& truth);
ScoredImages scored_images(const RunState& state, const GroundTruth& truth);

// The usual 100 detections per image and class are a network's most for one input, and too few for a slide in tiles: where some
// image was tiled, as many are scored as a tiled image has. Call it where nothing else was asked for.
void follow_slides(ScoreOptions& options, const DetectionSet& set, const ScoredImages& images);

// The least score of each category of the ground truth, where `classes` are those that `counting` is of; kDefaultOperatingScore
// where it counts everything, NaN of categories that are none of the classes.
std::vector<double> scores_of_categories(const GroundTruth& truth, const CountingScores& counting, const Classes& classes);

// AP (stats[0]) of the images, all of which the ground truth names. Throws Error when one fails.
double measure_ap(Detector& detector, const GroundTruth& truth, const std::vector<std::string>& images,
                  const DetectSettings& settings, const ScoreOptions& options);

int exit_of(const DetectReport& report);
void warn(const std::vector<std::string>& warnings);

}  // namespace cytodet::pipeline
