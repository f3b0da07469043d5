// The makers of the observer table's entries.
#pragma once

#include "quant/observers/observer.h"

namespace cytodet::quant {

std::unique_ptr<Observer> make_minmax(const ObserverOptions& options);
std::unique_ptr<Observer> make_moving_average(const ObserverOptions& options);
std::unique_ptr<Observer> make_percentile(const ObserverOptions& options);
std::unique_ptr<Observer> make_entropy(const ObserverOptions& options);
std::unique_ptr<Observer> make_mse(const ObserverOptions& options);
std::unique_ptr<Observer> make_ifmr(const ObserverOptions& options);
std::unique_ptr<Observer> make_hfmg(const ObserverOptions& options);

}  // namespace cytodet::quant
