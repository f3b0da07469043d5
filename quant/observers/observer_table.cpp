#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/suggest.h"
#include "quant/observers/observer_entries.h"

namespace cytodet::quant {
namespace {

constexpr std::array<ObserverEntry, 7> kObservers{{
    {"minmax", "smallest and largest number seen", make_minmax},
    {"moving_average", "moving average of each image's smallest and largest number, 0.1 of each image", make_moving_average},
    {"percentile", "leaves the outermost 0.01 % out at each end", make_percentile},
    {"entropy", "the clipping that keeps the distribution of 8-bit values nearest (Kullback-Leibler)", make_entropy},
    {"mse", "the clipping with the least squared error of 8-bit values", make_mse},
    {"ifmr", "AMCT's search: both ends from their quantile, times 0.7 to 1.3, with the least squared error", make_ifmr, false},
    {"hfmg", "AMCT's search on a merged histogram: both ends from the extremes, times 0.7 to 1.3", make_hfmg, false},
}};

}  // namespace

std::span<const ObserverEntry> all_observers() { return kObservers; }

const ObserverEntry& require_observer(const std::string& name) {
  std::string known;
  for (const ObserverEntry& entry : kObservers) {
    if (entry.name == name) return entry;
    known += (known.empty() ? "known: " : ", ") + std::string(entry.name);
  }
  throw UsageError("calibration method " + name, "is not known", known);
}

}  // namespace cytodet::quant
