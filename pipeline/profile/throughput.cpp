#include "pipeline/profile/throughput.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <exception>
#include <map>
#include <thread>

#include "core/cpu.h"
#include "core/peak.h"
#include "core/settings.h"
#include "core/timing.h"

namespace cytodet::pipeline {
namespace {

// Processor time that all threads of the process have used.
double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

Speed measure_speed(BenchNetwork& network, const ParallelSettings& parallel, double seconds, const CpuSets& cpu_sets) {
  const int streams = network.streams();
  struct Stream {
    std::vector<double> ms;
    double seconds = 0;
    bool pinned = false;
    std::exception_ptr problem;
  };
  std::vector<Stream> results(static_cast<size_t>(streams));
  std::barrier together(streams);
  std::atomic<int> counting = streams;
  double cpu_before = 0, cpu = 0;  // of the process while stream 0 runs
  auto body = [&](int s) {
    Stream& r = results[static_cast<size_t>(s)];
    ScopedAffinity pinned(cpu_sets[static_cast<size_t>(s)]);
    r.pinned = pinned.held();
    try {
      network.runner(s).run();
    } catch (...) {
      r.problem = std::current_exception();
    }
    together.arrive_and_wait();
    if (s == 0) cpu_before = cpu_seconds();
    if (!r.problem) {
      Stopwatch watch;
      do {
        Stopwatch one;
        network.runner(s).run();
        r.ms.push_back(one.ms());
      } while (watch.ms() < seconds * 1000);
      r.seconds = watch.ms() / 1000;
    }
    // Who ends first must not leave the machine to the others.
    for (--counting; !r.problem && counting > 0;) network.runner(s).run();
    if (s == 0) cpu = cpu_seconds() - cpu_before;
  };
  std::vector<std::thread> pool;
  for (int s = 0; s < streams; ++s) pool.emplace_back(body, s);
  for (std::thread& t : pool) t.join();
  Speed speed{{streams, parallel.threads}, true};
  std::vector<double> all;
  for (const Stream& r : results) {
    if (r.problem) std::rethrow_exception(r.problem);
    speed.pinned = speed.pinned && r.pinned;
    speed.seconds = std::max(speed.seconds, r.seconds);
    speed.images_per_s += static_cast<double>(r.ms.size()) / r.seconds;
    all.insert(all.end(), r.ms.begin(), r.ms.end());
  }
  speed.images = static_cast<int64_t>(all.size());
  if (!all.empty()) speed.cpu_ms_per_image = 1000 * cpu / static_cast<double>(all.size());
  speed.latency_median_ms = median(all);
  speed.latency_p95_ms = percentile(all, 95);
  return speed;
}

std::vector<double> Scaling::undisturbed() const {
  std::vector<double> found;
  for (size_t r = 0; r < times.size(); ++r)
    if (machine[r] >= 0.9 * speed.parallel.streams * speed.parallel.threads) found.push_back(times[r]);
  return found.empty() ? times : found;
}

std::vector<Scaling> measure_scaling(const BenchOptions& options, double seconds, bool pin, const std::string& instruction) {
  constexpr double kLongestTurn = 0.1;
  const int cpus = usable_cpus(), rounds = std::max(3, static_cast<int>(std::ceil(seconds / kLongestTurn)));
  std::vector<int> counts;
  for (int n = 2; n < cpus; n *= 2) counts.push_back(n);
  if (cpus > 1) counts.push_back(cpus);
  std::vector<ParallelSettings> settings{{1, 1}};
  for (int n : counts) settings.push_back({n, 1});
  for (int n : counts) settings.push_back({1, n});
  std::vector<std::unique_ptr<BenchNetwork>> networks;
  for (const ParallelSettings& parallel : settings)
    networks.push_back(std::make_unique<BenchNetwork>(options, parallel.streams, parallel.threads));
  const double turn = seconds / rounds;
  std::vector<std::vector<Speed>> speeds(settings.size());
  std::vector<Scaling> rows(settings.size());
  for (int r = 0; r < rounds; ++r) {
    const auto cpu_sets = [&](const ParallelSettings& parallel) {
      const bool one = parallel.streams * parallel.threads == 1;
      return one && pin ? CpuSets{cpus_of_stream(r % cpus, cpus, 1)} : cpu_sets_of(parallel, pin);
    };
    std::map<int, double> gmacs;  // of so many CPUs
    for (size_t i = 0; i < settings.size(); ++i) {
      const int used = settings[i].streams * settings[i].threads;
      speeds[i].push_back(measure_speed(*networks[i], settings[i], turn, cpu_sets(settings[i])));
      if (!gmacs.contains(used)) gmacs[used] = sustained_gmacs(instruction, cpu_sets({used, 1}), turn);
      rows[i].times.push_back(speeds[i].back().images_per_s / speeds[0].back().images_per_s);
      rows[i].machine.push_back(gmacs[used] / gmacs[1]);
    }
  }
  for (size_t i = 0; i < settings.size(); ++i) {
    auto middle = speeds[i].begin() + rounds / 2;
    std::nth_element(speeds[i].begin(), middle, speeds[i].end(),
                     [](const Speed& a, const Speed& b) { return a.images_per_s < b.images_per_s; });
    rows[i].speed = *middle;
  }
  return rows;
}

Json scaling_json(const std::vector<Scaling>& rows) {
  Json list = Json::array();
  for (const Scaling& row : rows)
    list.push_back({{"streams", row.speed.parallel.streams},
                    {"threads", row.speed.parallel.threads},
                    {"pinned", row.speed.pinned},
                    {"images_per_s", row.speed.images_per_s},
                    {"ms_per_image", row.speed.ms_per_image()},
                    {"latency_median_ms", row.speed.latency_median_ms},
                    {"times_one_core", median(row.undisturbed())},
                    {"undisturbed_rounds", row.undisturbed().size()},
                    {"machine_times_one_core", median(row.machine)},
                    {"rounds", row.times}});
  return list;
}

std::string scaling_table(const std::vector<Scaling>& rows) {
  std::string text = "streams  threads   images/s  latency ms  times one core  of CPUs used  the machine itself\n";
  char line[160];
  for (const Scaling& row : rows) {
    const Speed& s = row.speed;
    const double times = median(row.undisturbed());
    std::snprintf(line, sizeof line, "%7d %8d %10.2f %11.2f %14.2fx %12.0f%% %18.2fx\n", s.parallel.streams, s.parallel.threads,
                  s.images_per_s, s.latency_median_ms, times, 100 * times / (s.parallel.streams * s.parallel.threads),
                  median(row.machine));
    text += line;
  }
  return text;
}

}  // namespace cytodet::pipeline
