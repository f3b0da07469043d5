// True ratios of pyramid levels. A level is often stored as a whole number of tiles, so that its size says a ratio a little below
// the true one (1.945 where 2 was meant), and places on it would be some hundred pixels off.
#pragma once

#include "tiling/slides/slide.h"

namespace cytodet::tiling {

// What the sizes of a level and of level 0 allow a whole-number ratio to be.
enum class RatioFit {
  none,      // the sizes differ from it by more than padding explains
  rounding,  // they differ by a pixel at most
  padding    // they differ by what padding of at most a stored tile explains, of the level or of level 0
};
// One direction: lengths and stored tiles' sides in their own levels' pixels (side 0: unknown, no padding is assumed).
struct StoredLength {
  int64_t pixels = 0, side = 0;
};
RatioFit ratio_fit(StoredLength full, StoredLength level, double ratio);

// Sets the downsample of each padded level to the whole number that padding explains (a power of two, the step of the levels
// before, or the next whole number), in both directions, and its width and height to what level 0 has at that ratio, so that
// padding is outside the slide. Candidate ratios are compared on pixels: at places where they differ and the levels are not
// blank, the level is correlated with level 0, and the better correlation decides, also against padding; if all such places are
// blank, a ratio within 10 % of a power of two is that power. A level whose ratio no padding makes whole (3.2), or differs from a
// whole number by rounding (4.0003), stays as it is. The levels must be readable as they are stored.
void settle_level_ratios(Slide& slide);

}  // namespace cytodet::tiling
