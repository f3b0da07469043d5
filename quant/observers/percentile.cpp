#include "quant/observers/histogram.h"
#include "quant/observers/observer_entries.h"

namespace cytodet::quant {
namespace {

class Percentile : public HistogramObserver {
 public:
  explicit Percentile(double percentile) : share_(percentile / 100) {}

  Range range() const override { return {histogram_.quantile(1 - share_), histogram_.quantile(share_), {}, {}}; }

 private:
  double share_;
};

}  // namespace

std::unique_ptr<Observer> make_percentile(const ObserverOptions& options) {
  return std::make_unique<Percentile>(options.percentile);
}

}  // namespace cytodet::quant
