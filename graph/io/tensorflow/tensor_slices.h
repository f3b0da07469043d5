// Parts of tensors: a variable that is split over servers lies in a checkpoint as several slices of one tensor.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace cytodet::graph {

constexpr int kMaxRank = 254;  // dimensions that TensorFlow holds at most

struct SliceExtent {
  int64_t start = 0, length = -1;  // -1: to the end of the dimension
};
using TensorSlice = std::vector<SliceExtent>;  // one per dimension

// The slice within a tensor of this shape, with every length known. Throws Error where it does not lie in it.
TensorSlice slice_within(const TensorSlice& slice, const Shape& shape);
Shape shape_of(const TensorSlice& slice);  // lengths

// What RestoreV2 is asked for: "10 4 0,5:-" is rows 0 to 4 of a tensor [10,4]. Nothing for an empty text, the whole tensor.
struct SliceRequest {
  Shape full;
  TensorSlice slice;
};
std::optional<SliceRequest> parse_slice_request(std::string_view text);

// Under which key of the checkpoint's table a slice of a tensor lies.
std::string slice_key(std::string_view tensor, const TensorSlice& slice);

// Copies what both slices have in common from `source`, which holds slice `from` of a tensor, to `target`, which is to hold slice
// `to` of it. Lengths are known. Returns the number of elements copied.
int64_t copy_common(const Tensor& source, const TensorSlice& from, Tensor& target, const TensorSlice& to);
int64_t count_common(const TensorSlice& a, const TensorSlice& b);

}  // namespace cytodet::graph
