// How fast a Detector's network alone is: latency and throughput over its streams.
#pragma once

#include "core/parallel.h"
#include "core/settings.h"
#include "pipeline/detector.h"

namespace cytodet {

struct Speed {
  Sharing sharing;
  bool pinned = false;  // every stream has stayed on CPUs of its own
  int64_t images = 0;
  double seconds = 0;       // of the slowest stream
  double images_per_s = 0;  // sum over the streams
  double latency_median_ms = 0, latency_p95_ms = 0;
  double ms_per_image() const { return images_per_s > 0 ? 1000 / images_per_s : 0; }
};

// Every stream runs the network on whatever lies in its input for `seconds`, on a thread of its own, after one run to warm up.
// sharing: as the detector was made.
Speed measure_speed(Detector& detector, const Sharing& sharing, double seconds, bool pin);

// Speeds with 1, 2, 4 ... streams of one thread, and of one stream with 2, 4 ... threads, up to all CPUs: three rounds in turn of
// seconds / 3 each, the round of median throughput counts. The first is one stream on one thread.
std::vector<Speed> measure_scaling(const ModelFile& model, double seconds, bool pin, Precision precision);
// A row per speed, against the first.
Json scaling_json(const std::vector<Speed>& speeds);
std::string scaling_table(const std::vector<Speed>& speeds);

}  // namespace cytodet
