#include "graph/io/tflite/op_table.h"

#include <algorithm>

namespace cytodet::graph::lite {

std::span<const LiteEntry> lite_entries() {
  static const std::vector<LiteEntry> all = [] {
    std::vector<LiteEntry> entries;
    for (const auto* part :
         {&lite_activation_entries(), &lite_conv_entries(), &lite_elementwise_entries(), &lite_gather_entries(),
          &lite_pool_entries(), &lite_quantize_entries(), &lite_reduce_entries(), &lite_resize_entries(), &lite_shape_entries()})
      entries.insert(entries.end(), part->begin(), part->end());
    std::sort(entries.begin(), entries.end(), [](const LiteEntry& a, const LiteEntry& b) { return a.code < b.code; });
    return entries;
  }();
  return all;
}

const LiteEntry* find_lite_entry(int code) {
  for (const LiteEntry& entry : lite_entries())
    if (static_cast<int>(entry.code) == code) return &entry;
  return nullptr;
}

std::span<const CustomEntry> custom_entries() { return lite_detection_entries(); }

}  // namespace cytodet::graph::lite
