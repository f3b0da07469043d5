// TensorFlow Lite's operators in TensorFlow's vocabulary: one entry per operator.
#pragma once

#include <span>
#include <vector>

#include "graph/io/tflite/call.h"

namespace cytodet::graph::lite {

struct LiteEntry {
  schema::BuiltinOperator code;
  void (*translate)(Call&);
  // Results are values of the inputs: on their grid where that is also the result's.
  bool moves = false;
};
struct CustomEntry {
  const char* name;
  void (*translate)(Call&);
};

std::span<const LiteEntry> lite_entries();   // by code
const LiteEntry* find_lite_entry(int code);  // null when there is none
std::span<const CustomEntry> custom_entries();

// The entries by theme, in graph/io/tflite/ops/.
const std::vector<LiteEntry>& lite_activation_entries();
const std::vector<LiteEntry>& lite_conv_entries();
const std::vector<LiteEntry>& lite_elementwise_entries();
const std::vector<LiteEntry>& lite_gather_entries();
const std::vector<LiteEntry>& lite_pool_entries();
const std::vector<LiteEntry>& lite_quantize_entries();
const std::vector<LiteEntry>& lite_reduce_entries();
const std::vector<LiteEntry>& lite_resize_entries();
const std::vector<LiteEntry>& lite_shape_entries();
const std::vector<CustomEntry>& lite_detection_entries();

}  // namespace cytodet::graph::lite
