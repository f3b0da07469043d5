// The instruction set used at run time.
#pragma once

#include <string>
#include <vector>

namespace cytodet {

enum class Isa : int { baseline = 0, avx2 = 1, avx512 = 2, avx512_vnni = 3, avx512_bf16 = 4 };

// The best set this CPU and operating system offer, capped by the environment variable CYTODET_MAX_ISA
// (baseline, avx2, avx512, avx512_vnni, avx512_bf16). Read once. Throws UsageError on an unknown name.
// avx2 means AVX2+FMA+F16C; avx512 means F+BW+VL+DQ.
Isa isa();
std::string name_of(Isa isa);

// Processors this process may use (affinity and cgroup quota respected).
int usable_cpus();

// CPUs the calling thread may run on: one hyperthread of every core first, then the second ones; ascending otherwise.
std::vector<int> allowed_cpus();
// False where the system refuses.
bool set_allowed_cpus(const std::vector<int>& cpus);

}  // namespace cytodet
