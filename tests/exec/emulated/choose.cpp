// CYTODET_EMULATE=NAME: the tests use the set of that name, in software.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "exec/kernels/kernels.h"

namespace cytodet::exec {

const KernelSet& emulated_avx2_vnni_kernels();
const KernelSet& emulated_avx512_kernels();
const KernelSet& emulated_avx512_vnni_kernels();
const KernelSet& emulated_avx512_bf16_kernels();

namespace {

class Emulation : public ::testing::Environment {
  void SetUp() override {
    const char* name = std::getenv("CYTODET_EMULATE");
    if (!name) return;
    for (auto* set :
         {emulated_avx2_vnni_kernels, emulated_avx512_kernels, emulated_avx512_vnni_kernels, emulated_avx512_bf16_kernels})
      if (!std::strcmp(set().name, name)) use_kernels(set());
    ASSERT_STREQ(kernels().name, name);
  }
};
[[maybe_unused]] const auto* const chosen = ::testing::AddGlobalTestEnvironment(new Emulation);

}  // namespace
}  // namespace cytodet::exec
