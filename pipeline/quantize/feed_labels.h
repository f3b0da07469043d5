// What is known of the images that a network is fed: labels beside feed_files.h, for Python to train by.
#pragma once

#include <filesystem>
#include <string>

#include "pipeline/quantize/target.h"

namespace cytodet::pipeline {

// FOLDER/labels.json, by the file of a feed: "image"; of a classification network "class", its channel; with `truth`, the COCO
// ground truth of a detector, "boxes", [x0, y0, x1, y1, class] in pixels of the input. And, with truth, FOLDER/priors.npy:
// DetectionModel::priors(), [n, 4]. Feeds are those of calibration_data(target, images, max_samples). Returns the number of feeds
// with labels; 0: nothing is written. Throws UsageError where ground truth is given and the network has no priors, or where it
// names none of the images.
int write_feed_labels(QuantizationTarget& target, const std::string& images, int max_samples, const std::string& truth,
                      const std::filesystem::path& folder, bool overwrite);

// Throws as write_feed_labels() would of the network.
void check_feed_labels(const QuantizationTarget& target, const std::string& truth);

}  // namespace cytodet::pipeline
