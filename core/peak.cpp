#include "core/peak.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <thread>

#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/timing.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cytodet::core {
namespace {

// Independent sums: enough to hide the latency of a multiply-add on two ports, few enough for 16 registers.
constexpr int kSums = 10;

#if defined(__x86_64__)

// Adds products of ones; of bytes, pairs of sums in 16 bits first, as narrow filters are (graph/quantized/quant_nodes.h). The
// empty asm keeps the compiler from seeing that a product is the same in every round.
#define CYTODET_PEAK_LOOP(name, flags, Vector, Element, zero, one, add_product) \
  __attribute__((target(flags))) double name(long rounds) {                     \
    Vector sums[kSums], a = (one), b = (one);                                   \
    for (auto& s : sums) s = zero;                                              \
    for (long r = 0; r < rounds; ++r) {                                         \
      _Pragma("GCC unroll 10") for (int i = 0; i < kSums; ++i) {                \
        asm("" : "+v"(a));                                                      \
        sums[i] = add_product;                                                  \
      }                                                                         \
    }                                                                           \
    double total = 0;                                                           \
    for (auto& s : sums) {                                                      \
      Element lanes[sizeof(Vector) / sizeof(Element)];                          \
      std::memcpy(lanes, &s, sizeof lanes);                                     \
      for (Element lane : lanes) total += lane;                                 \
    }                                                                           \
    return total;                                                               \
  }

CYTODET_PEAK_LOOP(madd_sse2, "sse2", __m128i, int32_t, _mm_setzero_si128(), _mm_set1_epi16(1),
                  _mm_add_epi32(sums[i], _mm_madd_epi16(a, b)))
CYTODET_PEAK_LOOP(madd_avx2, "avx2", __m256i, int32_t, _mm256_setzero_si256(), _mm256_set1_epi16(1),
                  _mm256_add_epi32(sums[i], _mm256_madd_epi16(a, b)))
CYTODET_PEAK_LOOP(maddubs_avx2, "avx2", __m256i, int32_t, _mm256_setzero_si256(), _mm256_set1_epi8(1),
                  _mm256_add_epi32(sums[i],
                                   _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(a, b), _mm256_maddubs_epi16(b, a)),
                                                     _mm256_set1_epi16(1))))
CYTODET_PEAK_LOOP(dpbusd_avx, "avx2,avxvnni", __m256i, int32_t, _mm256_setzero_si256(), _mm256_set1_epi8(1),
                  _mm256_dpbusd_avx_epi32(sums[i], a, b))
CYTODET_PEAK_LOOP(madd_avx512, "avx512f,avx512bw", __m512i, int32_t, _mm512_setzero_si512(), _mm512_set1_epi16(1),
                  _mm512_add_epi32(sums[i], _mm512_madd_epi16(a, b)))
CYTODET_PEAK_LOOP(maddubs_avx512, "avx512f,avx512bw", __m512i, int32_t, _mm512_setzero_si512(), _mm512_set1_epi8(1),
                  _mm512_add_epi32(sums[i],
                                   _mm512_madd_epi16(_mm512_add_epi16(_mm512_maddubs_epi16(a, b), _mm512_maddubs_epi16(b, a)),
                                                     _mm512_set1_epi16(1))))
CYTODET_PEAK_LOOP(dpbusd_avx512, "avx512f,avx512vnni", __m512i, int32_t, _mm512_setzero_si512(), _mm512_set1_epi8(1),
                  _mm512_dpbusd_epi32(sums[i], a, b))
CYTODET_PEAK_LOOP(muladd_sse2, "sse2", __m128, float, _mm_setzero_ps(), _mm_set1_ps(1), _mm_add_ps(sums[i], _mm_mul_ps(a, b)))
CYTODET_PEAK_LOOP(fma_avx2, "avx2,fma", __m256, float, _mm256_setzero_ps(), _mm256_set1_ps(1), _mm256_fmadd_ps(a, b, sums[i]))
CYTODET_PEAK_LOOP(fma_avx512, "avx512f", __m512, float, _mm512_setzero_ps(), _mm512_set1_ps(1), _mm512_fmadd_ps(a, b, sums[i]))
CYTODET_PEAK_LOOP(dpbf16_avx512, "avx512f,avx512bf16", __m512, float, _mm512_setzero_ps(),
                  _mm512_castsi512_ps(_mm512_set1_epi32(0x3f803f80)), _mm512_dpbf16_ps(sums[i], (__m512bh)a, (__m512bh)b))

#undef CYTODET_PEAK_LOOP

template <Isa min>
bool has() {
  return isa() >= min;
}
bool may_use_avx_vnni() { return isa() >= Isa::avx2 && has_avx_vnni(); }

#endif

// Units per second over all threads: each runs work(thread) between two barriers; the slowest ends a repetition.
double best_rate(int threads, double units_per_thread, const std::function<void(int)>& work) {
  constexpr int kRepetitions = 6;
  std::barrier together(threads);
  std::vector<std::vector<double>> ms(static_cast<size_t>(threads));
  auto body = [&](int thread) {
    ScopedAffinity pinned(cpus_of_stream(thread, threads, 1));
    for (int r = 0; r < kRepetitions; ++r) {
      together.arrive_and_wait();
      Stopwatch watch;
      work(thread);
      ms[static_cast<size_t>(thread)].push_back(watch.ms());
    }
  };
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) pool.emplace_back(body, t);
  for (std::thread& t : pool) t.join();
  double best = 0;
  for (size_t r = 0; r < kRepetitions; ++r) {
    double slowest = 0;
    for (const auto& times : ms) slowest = std::max(slowest, times[r]);
    best = std::max(best, units_per_thread * threads / std::max(slowest, 1e-6) * 1000);
  }
  return best;
}

double gmacs_of(const PeakInstruction& instruction, int threads) {
  // Rounds of about 3 ms.
  long rounds = 1000;
  volatile double sink = 0;
  for (double ms = 0; ms < 1 && rounds < (1L << 40);) {
    Stopwatch watch;
    sink = sink + instruction.run(rounds);
    ms = watch.ms();
    rounds = ms < 0.01 ? rounds * 100 : static_cast<long>(static_cast<double>(rounds) * 3 / ms);
  }
  std::vector<double> sinks(static_cast<size_t>(threads));
  return best_rate(threads, static_cast<double>(rounds) * instruction.macs,
                   [&](int thread) { sinks[static_cast<size_t>(thread)] = instruction.run(rounds); }) /
         1e9;
}

double copy_gbs(int threads) {
  const size_t bytes = (size_t{256} << 20) / static_cast<size_t>(std::max(4, threads));
  struct Pair {
    std::vector<char> from, to;
  };
  std::vector<Pair> blocks(static_cast<size_t>(threads));
  for (Pair& p : blocks) {
    p.from.assign(bytes, 1);
    p.to.assign(bytes, 2);
  }
  return best_rate(threads, 2 * static_cast<double>(bytes),
                   [&](int thread) {
                     Pair& p = blocks[static_cast<size_t>(thread)];
                     std::memcpy(p.to.data(), p.from.data(), bytes);
                     asm volatile("" : : "r"(p.to.data()) : "memory");
                   }) /
         1e9;
}

}  // namespace

const std::vector<PeakInstruction>& peak_instructions() {
  static const std::vector<PeakInstruction> entries = {
#if defined(__x86_64__)
    {"int8", "pmaddwd", has<Isa::baseline>, 8 * kSums, madd_sse2},
    {"int8", "vpmaddwd ymm", has<Isa::avx2>, 16 * kSums, madd_avx2},
    {"int8", "vpmaddubsw ymm", has<Isa::avx2>, 64 * kSums, maddubs_avx2},
    {"int8", "vpdpbusd ymm", may_use_avx_vnni, 32 * kSums, dpbusd_avx},
    {"int8", "vpmaddwd zmm", has<Isa::avx512>, 32 * kSums, madd_avx512},
    {"int8", "vpmaddubsw zmm", has<Isa::avx512>, 128 * kSums, maddubs_avx512},
    {"int8", "vpdpbusd zmm", has<Isa::avx512_vnni>, 64 * kSums, dpbusd_avx512},
    {"f32", "mulps, addps", has<Isa::baseline>, 4 * kSums, muladd_sse2},
    {"f32", "vfmadd231ps ymm", has<Isa::avx2>, 8 * kSums, fma_avx2},
    {"f32", "vfmadd231ps zmm", has<Isa::avx512>, 16 * kSums, fma_avx512},
    {"bf16", "vdpbf16ps zmm", has<Isa::avx512_bf16>, 32 * kSums, dpbf16_avx512},
#endif
  };
  return entries;
}

Peak measure_peak(int threads) {
  Peak peak;
  peak.threads = std::max(1, threads);
  struct Kind {
    const char* name;
    double Peak::*gmacs;
    std::string Peak::*instruction;
  };
  const Kind kinds[] = {{"int8", &Peak::int8_gmacs, &Peak::int8_instruction},
                        {"bf16", &Peak::bf16_gmacs, &Peak::bf16_instruction},
                        {"f32", &Peak::f32_gmacs, &Peak::f32_instruction}};
  for (const PeakInstruction& entry : peak_instructions()) {
    if (!entry.available()) continue;
    double gmacs = gmacs_of(entry, peak.threads);
    for (const Kind& kind : kinds)
      if (std::string(entry.kind) == kind.name && gmacs > peak.*kind.gmacs) {
        peak.*kind.gmacs = gmacs;
        peak.*kind.instruction = entry.name;
      }
  }
  peak.copy_gbs = copy_gbs(peak.threads);
  return peak;
}

double sustained_gmacs(const std::string& instruction, const CpuSets& cpu_sets, double seconds) {
  const std::vector<PeakInstruction>& entries = peak_instructions();
  const auto entry =
      std::find_if(entries.begin(), entries.end(), [&](const PeakInstruction& r) { return r.name == instruction; });
  if (entry == entries.end() || !entry->available()) throw UsageError("instruction", "no such on this CPU: " + instruction);
  constexpr long kRounds = 100000;  // a fraction of a millisecond
  std::barrier together(std::ssize(cpu_sets));
  std::vector<double> gmacs(cpu_sets.size());
  std::vector<std::thread> pool;
  for (size_t t = 0; t < cpu_sets.size(); ++t)
    pool.emplace_back([&, t] {
      ScopedAffinity pinned(cpu_sets[t]);
      volatile double sink = entry->run(kRounds);
      together.arrive_and_wait();
      Stopwatch watch;
      double runs = 0;
      do {
        sink = sink + entry->run(kRounds);
        ++runs;
      } while (watch.ms() < seconds * 1000);
      gmacs[t] = runs * kRounds * entry->macs / watch.ms() / 1e6;
    });
  for (std::thread& t : pool) t.join();
  return std::accumulate(gmacs.begin(), gmacs.end(), 0.0);
}

double effective_cores() {
  constexpr double kSeconds = 0.03;
  const int cpus = usable_cpus();
  std::string instruction;
  for (const PeakInstruction& entry : peak_instructions())
    if (entry.available() && std::string(entry.kind) == "int8") instruction = entry.name;
  const auto alone = [&](int cpu) { return sustained_gmacs(instruction, {cpus_of_stream(cpu, cpus, 1)}, kSeconds); };
  const double first = alone(0), together = sustained_gmacs(instruction, cpu_sets_of({cpus, 1}), kSeconds),
               last = alone(cpus - 1);
  const double given = 2 * together / (first + last);
  return given <= 1.05 * cpus ? given : 0;
}

double core_to_core_ns() {
  const int cpus = usable_cpus();
  if (cpus < 2) return 0;
  struct alignas(128) {
    std::atomic<int64_t> number = 0;  // odd: the other thread is to add 1; negative: it is to end
  } ball;
  std::thread other([&] {
    ScopedAffinity pinned(cpus_of_stream(cpus - 1, cpus, 1));
    for (int64_t seen = 0; seen >= 0; seen = ball.number)
      if (seen % 2 == 1) ball.number = seen + 1;
  });
  ScopedAffinity pinned(cpus_of_stream(0, cpus, 1));
  int64_t number = 0;
  const auto exchange = [&] {
    ball.number = ++number;
    while (ball.number == number) continue;
    ++number;
  };
  exchange();
  double min = std::numeric_limits<double>::infinity();
  Stopwatch all;
  for (int turn = 0; turn < 10 && all.ms() < 20; ++turn) {
    constexpr int kExchanges = 200;
    Stopwatch watch;
    int exchanges = 0;
    for (; exchanges < kExchanges && watch.ms() < 5; ++exchanges) exchange();  // both may have but one CPU
    min = std::min(min, watch.ms() * 1e6 / (2 * exchanges));
  }
  ball.number = -1;
  other.join();
  return min <= kFarthestNs ? min : 0;
}

}  // namespace cytodet::core
