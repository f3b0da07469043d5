// Detections that a caller holds in memory.
#pragma once

#include <string>
#include <vector>

#include "core/box.h"
#include "cytodet/c.h"

namespace cytodet::api {

constexpr int32_t kMaxClasses = 10000;

// The caller's structs as this version knows them. Throws UsageError: a NULL, a struct_size, class_index, box or score that
// cannot be.
std::vector<cytodet_image_detections> image_detections_of(const cytodet_image_detections* images, size_t count);
core::Detections detections_of(const cytodet_image_detections& image);

// Classes by class_index: the caller's names ("class ID" where it gives none), and the ids that the detections have.
struct ClassList {
  std::vector<std::string> names;
  std::vector<int> ids;
};
// Throws UsageError where detections of one class have several ids.
ClassList classes_of(const std::vector<cytodet_image_detections>& images, const char* const* classes, size_t class_count);

}  // namespace cytodet::api
