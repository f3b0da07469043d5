// What the machine can do at most, measured: multiply-accumulates of registers, and bytes copied through memory.
#pragma once

#include <string>
#include <vector>

#include "core/parallel.h"

namespace cytodet::core {

struct Peak {
  int threads = 1;
  // By data type: the fastest instruction that isa() allows, and its rate; empty and 0 for a type that the CPU has none for.
  double int8_gmacs = 0, bf16_gmacs = 0, f32_gmacs = 0;  // 10^9 multiply-accumulates per second
  std::string int8_instruction, bf16_instruction, f32_instruction;
  double copy_gbs = 0;  // 10^9 bytes per second, read + written, blocks beyond the caches
};

// Runs `threads` threads at once, pinned where the system allows it; about 0.1 s of work each. The best of several repetitions
// counts: other work on the machine can only lower it.
Peak measure_peak(int threads);

struct PeakInstruction {
  const char* kind;  // int8, bf16, f32
  const char* name;
  bool (*available)();         // on this CPU, and allowed by isa()
  double macs;                 // per round
  double (*run)(long rounds);  // the sum of rounds * macs products of ones (while its 32-bit parts hold it)
};
const std::vector<PeakInstruction>& peak_instructions();

// 10^9 multiply-adds per second of threads that run the instruction (of that name) in registers for `seconds`, one at each place.
// Unlike measure_peak all of the time counts, also what other work on the machine takes.
double sustained_gmacs(const std::string& instruction, const CpuSets& cpu_sets, double seconds);

// What the usable CPUs together do now of multiply-adds in registers, in times of what one of them does alone: less than their
// number while neighbours on the machine, or a second hyperthread, take a part. 0: they disturbed it so much that it came out
// greater than the number of CPUs. Takes about 0.1 s.
double effective_cores();

// How long a cache line takes from the first usable CPU to the last, in nanoseconds: some 50 between cores that share a third
// cache, some 200 between those that do not. A host may move virtual CPUs from one to another. 0 when there is only one
// CPU, and when no exchange took less than kFarthestNs, as other work held up both.
constexpr double kFarthestNs = 20000;
double core_to_core_ns();

}  // namespace cytodet::core
