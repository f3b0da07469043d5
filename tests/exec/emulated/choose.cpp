// CYTODET_EMULATE=NAME: the tests use the set of that name, in software.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "exec/kernels/kernels.h"

namespace cytodet::exec {

extern const KernelSet kEmulatedAvx2Vnni, kEmulatedAvx512, kEmulatedAvx512Bf16;

namespace {

// The set for VNNI is that for VNNI and BF16 without its bfloat16 kernels: compiled once for both.
KernelSet without_bf16(KernelSet set) {
  set.name = "avx512_vnni";
  set.gemm_bf16 = nullptr;
  set.bf16_rows = nullptr;
  set.rows_of_bf16 = nullptr;
  set.bf16_of_rows = nullptr;
  set.floats_of_bf16 = nullptr;
  return set;
}

class Emulation : public ::testing::Environment {
  void SetUp() override {
    const char* name = std::getenv("CYTODET_EMULATE");
    if (!name) return;
    static const KernelSet avx512_vnni = without_bf16(kEmulatedAvx512Bf16);
    for (const KernelSet* set : {&kEmulatedAvx2Vnni, &kEmulatedAvx512, &avx512_vnni, &kEmulatedAvx512Bf16})
      if (!std::strcmp(set->name, name)) use_kernels(*set);
    ASSERT_STREQ(kernels().name, name);
  }
};
[[maybe_unused]] const auto* const chosen = ::testing::AddGlobalTestEnvironment(new Emulation);

}  // namespace
}  // namespace cytodet::exec
