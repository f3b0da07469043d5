#include "core/cpu.h"

#include <sched.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/error.h"
#include "core/suggest.h"

namespace cytodet::core {
namespace {

const char* const kNames[] = {"baseline", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16"};

#if defined(__x86_64__)
// Bit `bit` of register `reg` (0 to 3: EAX to EDX) of a CPUID leaf, for features that clang has no name for. They need the
// registers of AVX, which the operating system must save: that part of the answer is __builtin_cpu_supports' of "avx".
bool has_avx_and(unsigned leaf, unsigned subleaf, int reg, int bit) {
  unsigned regs[4] = {};
  if (!__builtin_cpu_supports("avx") || !__get_cpuid_count(leaf, subleaf, &regs[0], &regs[1], &regs[2], &regs[3])) return false;
  return (regs[reg] >> bit & 1) != 0;
}

bool has_f16c() { return has_avx_and(1, 0, 2, 29); }
#endif

Isa detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c()) return Isa::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512dq"))
    return has_avx_vnni() ? Isa::avx2_vnni : Isa::avx2;
  if (!__builtin_cpu_supports("avx512vnni")) return Isa::avx512;
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::avx512_vnni;
  return Isa::avx512_bf16;
#else
  return Isa::baseline;
#endif
}

Isa capped() {
  Isa best = detect();
  const char* cap = std::getenv("CYTODET_MAX_ISA");
  if (!cap || !*cap) return best;
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (std::string(cap) == kNames[i]) {
      const Isa capped = std::min(best, static_cast<Isa>(i));
      return capped == Isa::avx2_vnni && !has_avx_vnni() ? Isa::avx2 : capped;
    }
  throw UsageError("CYTODET_MAX_ISA", std::string("unknown instruction set \"") + cap + "\"",
                   suggest(cap, {std::begin(kNames), std::end(kNames)}));
}

// Place of a CPU among the hyperthreads of its core: 0 for the first.
int sibling_rank(int cpu) {
  std::ifstream list("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
  // "0,8" or "0-1"
  int rank = 0, low = 0;
  char separator = ',';
  while (list >> low) {
    int high = low;
    if (list >> separator && separator == '-' && list >> high) list >> separator;
    for (int c = low; c <= high && c < cpu; ++c) ++rank;
  }
  return rank;
}

double cgroup_quota() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0) return std::atof(quota.c_str()) / period;
  return 0;
}

}  // namespace

Isa isa() {
  static const Isa value = capped();
  return value;
}

std::string name_of(Isa isa) { return kNames[static_cast<int>(isa)]; }

bool has_avx_vnni() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return has_avx_and(7, 1, 0, 4);
#else
  return false;
#endif
}

std::vector<CpuFeature> cpu_features() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return {{"sse4.2", __builtin_cpu_supports("sse4.2") != 0},
          {"avx2", __builtin_cpu_supports("avx2") != 0},
          {"fma", __builtin_cpu_supports("fma") != 0},
          {"f16c", has_f16c()},
          {"avxvnni", has_avx_vnni()},
          {"avx512f", __builtin_cpu_supports("avx512f") != 0},
          {"avx512bw", __builtin_cpu_supports("avx512bw") != 0},
          {"avx512dq", __builtin_cpu_supports("avx512dq") != 0},
          {"avx512vl", __builtin_cpu_supports("avx512vl") != 0},
          {"avx512vbmi", __builtin_cpu_supports("avx512vbmi") != 0},
          {"avx512vnni", __builtin_cpu_supports("avx512vnni") != 0},
          {"avx512bf16", __builtin_cpu_supports("avx512bf16") != 0}};
#else
  return {};
#endif
}

int usable_cpus() {
  cpu_set_t set;
  int n = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = std::max(1, CPU_COUNT(&set));
  double quota = cgroup_quota();
  if (quota > 0) n = std::min(n, std::max(1, static_cast<int>(std::ceil(quota))));
  return n;
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int c = 0; c < CPU_SETSIZE; ++c)
    if (CPU_ISSET(c, &set)) cpus.push_back(c);
  std::vector<std::pair<int, int>> ranked;
  for (int c : cpus) ranked.emplace_back(sibling_rank(c), c);
  std::sort(ranked.begin(), ranked.end());
  std::transform(ranked.begin(), ranked.end(), cpus.begin(), [](const auto& r) { return r.second; });
  return cpus;
}

bool set_allowed_cpus(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int c : cpus)
    if (c >= 0 && c < CPU_SETSIZE) CPU_SET(c, &set);
  return CPU_COUNT(&set) > 0 && sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace cytodet::core
