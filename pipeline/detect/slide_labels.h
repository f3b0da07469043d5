// Which slides are positive, in a table that people write.
#pragma once

#include <string>
#include <vector>

#include "eval/ground_truth.h"

namespace cytodet::pipeline {

// Per image of the ground truth: 1 positive, 0 negative, -1 not in the table. The table is CSV: name of the image, label (1, 0;
// positive, negative; pos, neg; yes, no; true, false); a first line with another word in the place of the label is its head.
// Names are matched as those of files (docs/detect.md). Throws Error with the line of a label that is none, and of an image
// that the ground truth lacks or the table names twice.
std::vector<int> read_slide_labels(const std::string& file, const GroundTruth& truth);

}  // namespace cytodet::pipeline
