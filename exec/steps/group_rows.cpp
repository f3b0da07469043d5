#include "exec/steps/group_rows.h"

namespace cytodet::exec {
namespace {

// put(place, tap, input of the group, channel) for every weight that is not padding, in the order of GroupedRow::weights where
// `together` inputs lie one behind the other.
template <class Put>
void for_each_group_weight(const GroupedConv& conv, int vector, int together, Put put) {
  const ConvShape& s = conv.shape;
  const int64_t group = s.in_c / conv.groups, vectors = (s.out_c + vector - 1) / vector;
  int64_t place = 0;
  for (int64_t v = 0; v < vectors; ++v)
    for (int64_t tap = 0; tap < s.taps(); ++tap)
      for (int64_t first = 0; first < group; first += together)
        for (int64_t channel = v * vector; channel < (v + 1) * vector; ++channel)
          for (int64_t i = first; i < first + together; ++i, ++place)
            if (channel < s.out_c) put(place, (tap * group + i) * s.out_c + channel);
}

int64_t packed_group_size(const GroupedConv& conv, int vector) {
  const ConvShape& s = conv.shape;
  return (s.out_c + vector - 1) / vector * vector * s.taps() * (s.in_c / conv.groups);
}

}  // namespace

bool takes_group_rows(const KernelSet& set, const GroupedConv& conv) {
  const int64_t group = conv.shape.in_c / conv.groups;
  const bool known = group == 4 || group == 8 || group == 16;
  return known && conv.shape.window_h() <= kMaxGroupRows && group <= set.panel / 2 && conv.shape.out_c == conv.shape.in_c &&
         (!conv.quant || set.grouped_row_q8);
}

FloatBuffer pack_group_weights(const KernelSet& set, const GroupedConv& conv) {
  FloatBuffer packed(packed_group_size(conv, set.panel / 2));
  for_each_group_weight(conv, set.panel / 2, 1,
                        [&](int64_t place, int64_t weight) { packed.data()[place] = conv.weights.data<float>()[weight]; });
  return packed;
}

Buffer<int8_t> pack_quantized_group_weights(const KernelSet& set, const GroupedConv& conv) {
  Buffer<int8_t> packed(packed_group_size(conv, set.panel / 2));
  const int8_t* weights = conv.quant->weights.values.data<int8_t>();
  for_each_group_weight(conv, set.panel / 2, 4, [&](int64_t place, int64_t weight) { packed.data()[place] = weights[weight]; });
  return packed;
}

}  // namespace cytodet::exec
