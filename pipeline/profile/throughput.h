// How fast a network alone is: latency and throughput over its streams.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "core/parallel.h"
#include "pipeline/profile/bench_network.h"

namespace cytodet::pipeline {

struct Speed {
  ParallelSettings parallel;
  bool pinned = false;  // every stream has stayed on CPUs of its own
  int64_t images = 0;
  double seconds = 0;       // of the slowest stream
  double images_per_s = 0;  // sum over the streams
  double latency_median_ms = 0, latency_p95_ms = 0;
  double cpu_ms_per_image = 0;  // of all threads of the process
  double ms_per_image() const { return images_per_s > 0 ? 1000 / images_per_s : 0; }
};

// Every stream runs the network on whatever lies in its input for `seconds`, on a thread of its own, after one run to warm up.
// `parallel`: as the network was made with; `cpu_sets`: one for each stream.
Speed measure_speed(BenchNetwork& network, const ParallelSettings& parallel, double seconds, const CpuSets& cpu_sets);

struct Scaling {
  Speed speed;                  // of the round of median throughput
  std::vector<double> times;    // throughput against one stream of one thread, by round
  std::vector<double> machine;  // of multiply-adds in registers on as many CPUs against one, by round: the bound
  // `times` of the rounds in which the machine gave at least nine tenths of the CPUs; of all, where it never did.
  std::vector<double> undisturbed() const;
};

// 1, 2, 4 ... streams of one thread, and one stream of 2, 4 ... threads, up to all CPUs. They take turns of at most a tenth of a
// second, `seconds` each in all, at least three rounds: how much of its CPUs a machine gives changes faster than a second. The
// first is one stream on one thread, each round on another CPU. instruction: of the machine's figures (Peak).
std::vector<Scaling> measure_scaling(const BenchOptions& options, double seconds, bool pin, const std::string& instruction);
Json scaling_json(const std::vector<Scaling>& rows);
std::string scaling_table(const std::vector<Scaling>& rows);

}  // namespace cytodet::pipeline
