// CYTODET_EMULATE=NAME: the tests use the set of that name, in software.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "exec/kernels/kernels.h"

namespace cytodet {

extern const KernelSet kEmulatedAvx2Vnni, kEmulatedAvx512, kEmulatedAvx512Vnni, kEmulatedAvx512Bf16;

namespace {

class Emulation : public ::testing::Environment {
  void SetUp() override {
    const char* name = std::getenv("CYTODET_EMULATE");
    if (!name) return;
    for (const KernelSet* set : {&kEmulatedAvx2Vnni, &kEmulatedAvx512, &kEmulatedAvx512Vnni, &kEmulatedAvx512Bf16})
      if (!std::strcmp(set->name, name)) use_kernels(*set);
    ASSERT_STREQ(kernels().name, name);
  }
};
[[maybe_unused]] const auto* const chosen = ::testing::AddGlobalTestEnvironment(new Emulation);

}  // namespace
}  // namespace cytodet
