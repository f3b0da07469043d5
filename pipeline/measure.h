// Detections of pictures against COCO truth.
#pragma once

#include <string>
#include <vector>

#include "eval/coco.h"
#include "pipeline/detect.h"
#include "pipeline/run_folder.h"
#include "tiling/roi.h"

namespace cytodet {

// The files in `inputs` (files and folders) that are images of the truth, see Truth::images_of; folders in folders are looked
// into where the truth's file_name fields name folders. Looser matches and files that the truth lacks are told in `warnings`.
// Throws Error when none is left; `where` is the truth's file.
std::vector<std::string> pictures_of(const Truth& truth, const std::vector<std::string>& inputs, const std::string& where,
                                     std::vector<std::string>& warnings);
// The truth of these pictures alone.
Truth truth_of(const Truth& truth, const std::vector<std::string>& pictures);
// Failed pictures and those that the truth does not know are left out.
DetectionSet to_set(const DetectReport& report, const Truth& truth, const ModelFile& model);
// The detections of a run folder's done slides.
DetectionSet to_set(const RunFolder& folder, const RunState& state, const Truth& truth);
// Of RUN/detections.json, with run.json beside it: the paths of its images by id; else none.
PathsOfIds paths_beside(const std::filesystem::path& results);
// Leaves only what lies in regions of interest, by the centres of boxes: truth, and detections of it. Nothing is left of images
// that have no region. Annotations that are regions themselves (category "roi") go as well.
void keep_in_roi(const RoiSource& regions, Truth& truth, DetectionSet& set);
// With the regions of a file or folder; empty: everything stays.
void keep_in_roi(const std::string& regions, Truth& truth, DetectionSet& set, const RoiChoice& choice = {});
// AP (stats[0]) of the pictures, all of which the truth names. Throws Error when one fails.
double measure_ap(Detector& detector, const Truth& truth, const std::vector<std::string>& pictures,
                  const DetectSettings& settings, const ScoreOptions& options);

int exit_of(const DetectReport& report);
void warn(const std::vector<std::string>& warnings);

}  // namespace cytodet
