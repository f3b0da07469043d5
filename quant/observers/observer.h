// Observers: one per value, shown every image's numbers, asked for a range at the end. Sums of counts and per-image records only,
// so that the range depends neither on the order of the images nor on how they were spread over observers that are merged.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "quant/ranges.h"

namespace cytodet::quant {

// Smallest and largest of the values seen. low > high: none was seen; not `finite`: low and high mean nothing.
struct Extremes {
  float low = 0, high = 0;
  bool finite = true;
};
Extremes extremes(std::span<const float> values);

class Observer {
 public:
  virtual ~Observer() = default;
  // values: some, all finite; `e` theirs.
  virtual void observe(std::span<const float> values, const Extremes& e, int64_t image) = 0;
  // Adds what another observer of the same entry and options saw.
  virtual void merge(const Observer& other) = 0;
  virtual Range range() const = 0;
};

// Settings of the observers ifmr and hfmg; the defaults are AMCT's.
struct IfmrOptions {
  double search_start = 0.7, search_end = 1.3, search_step = 0.01;  // factors of each end
  double max_percentile = 0.999999, min_percentile = 0.999999;      // shares of the numbers inside each end at first
  int bins = 4096;                                                  // of hfmg
};

struct ObserverOptions {
  double percentile = 99.9999;  // share of the numbers between each end of the range and the other end's infinity
  IfmrOptions ifmr;
};

struct ObserverEntry {
  const char* name;
  const char* summary;
  std::unique_ptr<Observer> (*make)(const ObserverOptions&);
  bool searched = true;  // is tried where a network is far from float
};
std::span<const ObserverEntry> all_observers();
// Throws UsageError with the known names.
const ObserverEntry& require_observer(const std::string& name);

}  // namespace cytodet::quant
