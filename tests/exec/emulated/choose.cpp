// CYTODET_EMULATE=avx512|avx512_vnni: the tests use that set, in software.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "exec/kernels/kernels.h"

namespace cytodet {

extern const KernelSet kEmulatedAvx512, kEmulatedAvx512Vnni;

namespace {

class Emulation : public ::testing::Environment {
  void SetUp() override {
    const char* name = std::getenv("CYTODET_EMULATE");
    if (!name) return;
    use_kernels(std::string(name) == kEmulatedAvx512Vnni.name ? kEmulatedAvx512Vnni : kEmulatedAvx512);
    ASSERT_STREQ(kernels().name, name);
  }
};
[[maybe_unused]] const auto* const chosen = ::testing::AddGlobalTestEnvironment(new Emulation);

}  // namespace
}  // namespace cytodet
