#include <algorithm>

#include "quant/observers/histogram.h"
#include "quant/observers/observer_entries.h"

namespace cytodet::quant {
namespace {

class Percentile : public HistogramObserver {
 public:
  explicit Percentile(double percentile) : share_(percentile / 100) {}

  Range range() const override { return {quantile(1 - share_), quantile(share_), {}, {}}; }

 private:
  // Numbers are taken as spread evenly over their bin.
  float quantile(double share) const {
    const Histogram& h = histogram_;
    const double wanted = share * static_cast<double>(h.total());
    double below = 0;
    for (int b = h.first_bin(); b <= h.last_bin(); ++b) {
      auto inside = static_cast<double>(h.counts()[static_cast<size_t>(Histogram::kBins + b)]);
      if (inside > 0 && below + inside >= wanted) {
        auto v = static_cast<float>((b + (wanted - below) / inside) * h.width());
        return std::clamp(v, h.low(), h.high());
      }
      below += inside;
    }
    return h.high();
  }

  double share_;
};

}  // namespace

std::unique_ptr<Observer> make_percentile(const ObserverOptions& options) {
  return std::make_unique<Percentile>(options.percentile);
}

}  // namespace cytodet::quant
