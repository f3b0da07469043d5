#include "pipeline/bench_speed.h"

#include <algorithm>
#include <barrier>
#include <cstdio>
#include <exception>
#include <thread>

#include "core/cpu.h"
#include "core/timing.h"

namespace cytodet {

Speed measure_speed(Detector& detector, const Sharing& sharing, double seconds, bool pin) {
  const int streams = detector.streams();
  struct Stream {
    std::vector<double> ms;
    double seconds = 0;
    bool pinned = false;
    std::exception_ptr problem;
  };
  std::vector<Stream> results(static_cast<size_t>(streams));
  std::barrier together(streams);
  auto body = [&](int s) {
    Stream& r = results[static_cast<size_t>(s)];
    Pinned pinned(pin ? cpus_of_stream(s, streams, sharing.threads) : std::vector<int>{});
    r.pinned = pinned.held();
    try {
      detector.runner(s).run();
    } catch (...) {
      r.problem = std::current_exception();
    }
    together.arrive_and_wait();
    if (r.problem) return;
    Stopwatch watch;
    do {
      Stopwatch one;
      detector.runner(s).run();
      r.ms.push_back(one.ms());
    } while (watch.ms() < seconds * 1000);
    r.seconds = watch.ms() / 1000;
  };
  std::vector<std::thread> pool;
  for (int s = 0; s < streams; ++s) pool.emplace_back(body, s);
  for (std::thread& t : pool) t.join();
  Speed speed{{streams, sharing.threads}, true};
  std::vector<double> all;
  for (const Stream& r : results) {
    if (r.problem) std::rethrow_exception(r.problem);
    speed.pinned = speed.pinned && r.pinned;
    speed.seconds = std::max(speed.seconds, r.seconds);
    speed.images_per_s += static_cast<double>(r.ms.size()) / r.seconds;
    all.insert(all.end(), r.ms.begin(), r.ms.end());
  }
  speed.images = static_cast<int64_t>(all.size());
  speed.latency_median_ms = median(all);
  speed.latency_p95_ms = percentile(all, 95);
  return speed;
}

std::vector<Speed> measure_scaling(const ModelFile& model, double seconds, bool pin, Precision precision) {
  constexpr size_t kRounds = 3;
  const int cpus = usable_cpus();
  std::vector<int> counts;
  for (int n = 2; n < cpus; n *= 2) counts.push_back(n);
  if (cpus > 1) counts.push_back(cpus);
  std::vector<Sharing> sharings{{1, 1}};
  for (int n : counts) sharings.push_back({n, 1});
  for (int n : counts) sharings.push_back({1, n});
  std::vector<Detector> detectors;
  for (const Sharing& sharing : sharings)
    detectors.emplace_back(model, DetectorOptions{sharing.streams, sharing.threads, true, precision, false});
  std::vector<std::vector<Speed>> rounds(sharings.size());
  for (size_t r = 0; r < kRounds; ++r)
    for (size_t i = 0; i < sharings.size(); ++i)
      rounds[i].push_back(measure_speed(detectors[i], sharings[i], seconds / kRounds, pin));
  std::vector<Speed> speeds;
  for (std::vector<Speed>& r : rounds) {
    std::sort(r.begin(), r.end(), [](const Speed& a, const Speed& b) { return a.images_per_s < b.images_per_s; });
    speeds.push_back(r[kRounds / 2]);
  }
  return speeds;
}

Json scaling_json(const std::vector<Speed>& speeds) {
  Json rows = Json::array();
  for (const Speed& s : speeds)
    rows.push_back({{"streams", s.sharing.streams},
                    {"threads", s.sharing.threads},
                    {"pinned", s.pinned},
                    {"images_per_s", s.images_per_s},
                    {"ms_per_image", s.ms_per_image()},
                    {"latency_median_ms", s.latency_median_ms},
                    {"times_one_core", s.images_per_s / speeds[0].images_per_s}});
  return rows;
}

std::string scaling_table(const std::vector<Speed>& speeds) {
  std::string text = "streams  threads   images/s  latency ms  times one core  of CPUs used\n";
  char line[160];
  for (const Speed& s : speeds) {
    double times = s.images_per_s / speeds[0].images_per_s;
    std::snprintf(line, sizeof line, "%7d %8d %10.2f %11.2f %14.2fx %12.0f%%\n", s.sharing.streams, s.sharing.threads,
                  s.images_per_s, s.latency_median_ms, times, 100 * times / (s.sharing.streams * s.sharing.threads));
    text += line;
  }
  return text;
}

}  // namespace cytodet
