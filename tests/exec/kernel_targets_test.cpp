// The tables of the targets are complete: a null function would only be found by the network that needs it.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "exec/kernels/kernels.h"

namespace cytodet {
namespace {

constexpr Isa kAll[] = {Isa::baseline, Isa::avx2, Isa::avx2_vnni, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16};

// How many of the functions there are.
int count(std::initializer_list<bool> functions) {
  int n = 0;
  for (bool there : functions) n += there;
  return n;
}

void expect_complete(const Q8Kernels& q8) {
  EXPECT_TRUE(q8.gemm && q8.gemm_segments && q8.pack_q8 && q8.repack_q8);
  EXPECT_TRUE(q8.group == 2 || q8.group == 4) << q8.group;
}

TEST(KernelTargets, AreNamedAsTheirInstructionSet) {
  for (Isa isa : kAll) EXPECT_EQ(kernels(isa).name, isa == Isa::baseline ? "sse2" : name_of(isa));
}

TEST(KernelTargets, HaveEveryMandatoryKernel) {
  for (Isa isa : kAll) {
    const KernelSet& set = kernels(isa);
    SCOPED_TRACE(set.name);
    EXPECT_EQ(set.panel, isa >= Isa::avx512 ? 32 : isa >= Isa::avx2 ? 16 : 8);
    expect_complete(set.q8);
    EXPECT_TRUE(set.gemm && set.scale_rows && set.depthwise_row);
    EXPECT_TRUE(set.gemm_segments && set.winograd_input && set.winograd_output);
    EXPECT_TRUE(set.fake_quantize && set.quantize && set.dequantize);
    EXPECT_TRUE(set.weighted_sum_row && set.product_row && set.exp_rows && set.average_pool_row && set.bilinear_row);
    EXPECT_TRUE(set.max_pool_row && set.max_pool_q8 && set.sum_q8 && set.grouped_row);
  }
}

TEST(KernelTargets, HaveAllOrNoneOfEachOptionalGroup) {
  for (Isa isa : kAll) {
    const KernelSet& set = kernels(isa);
    SCOPED_TRACE(set.name);
    const bool vnni = isa == Isa::avx2_vnni || isa >= Isa::avx512_vnni, bf16 = isa == Isa::avx512_bf16;
    EXPECT_EQ(count({!!set.depthwise_packed4, !!set.pack4_f32, !!set.pack4_q8, !!set.pack4_fill, !!set.f32_to_f16,
                     !!set.f16_to_f32, !!set.q8.pack_q8_f16}),
              vnni ? 7 : 0);
    EXPECT_EQ(count({!!set.gemm_bf16, !!set.pack_bf16, !!set.repack_bf16, !!set.f32_to_bf16, !!set.bf16_to_f32}), bf16 ? 5 : 0);
    if (set.q8_16bit_safe.gemm) expect_complete(set.q8_16bit_safe);
  }
}

TEST(KernelTargets, TheBestThatAMachineOffersIsChosen) {
  const auto best = [](Isa isa) {
    return core::select_for_isa<std::string>({{Isa::baseline, "a"}, {Isa::avx2, "b"}, {Isa::avx512_vnni, "c"}}, isa);
  };
  EXPECT_EQ(best(Isa::baseline), "a");
  EXPECT_EQ(best(Isa::avx2), "b");
  EXPECT_EQ(best(Isa::avx512), "b");
  EXPECT_EQ(best(Isa::avx512_vnni), "c");
  EXPECT_EQ(best(Isa::avx512_bf16), "c");
}

// CYTODET_KERNELS=native leaves targets out; tests run with all of them.
TEST(KernelTargets, EveryInstructionSetHasItsKernels) {
  for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx2_vnni, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16}) {
    EXPECT_TRUE(has_kernels_of(isa)) << core::name_of(isa);
    EXPECT_STREQ(kernels(isa).name, isa == Isa::baseline ? "sse2" : core::name_of(isa).c_str());
  }
}

}  // namespace
}  // namespace cytodet
