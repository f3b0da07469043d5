#include "core/cpu.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace cytodet::core {
namespace {

#if defined(__x86_64__)
TEST(CpuFeatures, AreThoseThatTheKernelLists) {
  std::ifstream file("/proc/cpuinfo");
  std::set<std::string> flags;
  for (std::string line; flags.empty() && std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string flag; words >> flag;) flags.insert(flag);
  }
  if (flags.empty()) GTEST_SKIP() << "no /proc/cpuinfo";
  const std::map<std::string, std::string> other_names = {
      {"sse4.2", "sse4_2"}, {"avxvnni", "avx_vnni"}, {"avx512vnni", "avx512_vnni"}, {"avx512bf16", "avx512_bf16"}};
  for (const CpuFeature& f : cpu_features()) {
    const auto other = other_names.find(f.name);
    const bool listed = flags.contains(other == other_names.end() ? f.name : other->second);
    if (!listed && f.present && std::string(f.name) == "avxvnni") continue;  // kernels before 5.12 have no name for it
    EXPECT_EQ(f.present, listed) << f.name;
  }
}
#endif

}  // namespace
}  // namespace cytodet::core
