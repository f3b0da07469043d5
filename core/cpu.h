// The instruction set used at run time.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "core/namespaces.h"

// Behind the names of a target attribute: vectors of 512 bits, which gcc avoids unless asked. clang does not know the word, and
// would ignore the whole attribute.
#if defined(__clang__)
#define CYTODET_PREFER_512_BITS ""
#else
#define CYTODET_PREFER_512_BITS ",prefer-vector-width=512"
#endif

namespace cytodet::core {

enum class Isa : int { baseline, avx2, avx2_vnni, avx512, avx512_vnni, avx512_bf16 };

// The best set this CPU and operating system offer, capped by the environment variable CYTODET_MAX_ISA
// (baseline, avx2, avx2_vnni, avx512, avx512_vnni, avx512_bf16). Read once. Throws UsageError on an unknown name.
// avx2 means AVX2+FMA+F16C; avx2_vnni also AVX-VNNI; avx512 means F+BW+VL+DQ, with or without AVX-VNNI.
Isa isa();
std::string name_of(Isa isa);

// Products of four bytes on 256 bits (AVX-VNNI), whatever CYTODET_MAX_ISA says.
bool has_avx_vnni();

struct CpuFeature {
  const char* name;
  bool present;
};
// What kernels ask for, and whether this CPU and operating system have it; empty on other processors than x86-64.
std::vector<CpuFeature> cpu_features();

// Code that is compiled several times, once for each instruction set: select_for_isa({{Isa::baseline, f}, {Isa::avx2, f_avx2},
// ...}) gives the entry of the best set that is not better than `best`. The first entry is the baseline, better ones follow.
template <class T>
struct IsaEntry {
  Isa isa;
  T value;
};
template <class T>
const IsaEntry<T>& select_for_isa(std::span<const IsaEntry<T>> entries, Isa best = isa()) {
  const IsaEntry<T>* selected = entries.data();
  for (const IsaEntry<T>& entry : entries)
    if (entry.isa <= best) selected = &entry;
  return *selected;
}
template <class T>
T select_for_isa(std::initializer_list<IsaEntry<T>> entries, Isa best = isa()) {
  return select_for_isa(std::span<const IsaEntry<T>>(entries.begin(), entries.size()), best).value;
}

// Processors this process may use (affinity and cgroup quota respected).
int usable_cpus();

// CPUs the calling thread may run on: one hyperthread of every core first, then the second ones; ascending otherwise.
std::vector<int> allowed_cpus();
// False where the system refuses.
bool set_allowed_cpus(const std::vector<int>& cpus);

}  // namespace cytodet::core
