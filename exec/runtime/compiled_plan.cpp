#include "exec/runtime/compiled_plan.h"

#include "core/error.h"
#include "core/parallel_team.h"
#include "core/stop.h"
#include "core/timing.h"
#include "exec/runtime/memory.h"
#include "exec/runtime/node_kernels.h"

// libgomp's, which oneDNN's threads are; declared here because clang does not see gcc's omp.h.
extern "C" int omp_get_max_threads();
extern "C" void omp_set_num_threads(int threads);

namespace cytodet::exec {
namespace {

// The threads of oneDNN while it lives; then what they were, however a run ends: a plan of one node may run within a step of
// another, and the program around may have a setting of its own.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int threads) : before_(omp_get_max_threads()) {
    if (threads != before_) omp_set_num_threads(threads);
  }
  ~OpenMpThreads() { omp_set_num_threads(before_); }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;

 private:
  const int before_;
};

class CompiledStream : public Plan::Stream {
 public:
  explicit CompiledStream(const CompiledPlan& plan)
      : plan_(plan),
        arena_(aligned_buffer(static_cast<size_t>(plan.arena_size))),
        scratch_(aligned_buffer(static_cast<size_t>(plan.scratch_size))),
        team_(plan.threads) {
    for (const Place& p : plan.places) {
      if (p.kind == Place::constant)
        tensors_.push_back(p.value);
      else if (p.kind == Place::arena)
        tensors_.push_back(Tensor::view(p.dtype, p.shape, static_cast<char*>(arena_.get()) + p.offset));
      else if (p.kind == Place::input && is_static(p.shape))
        tensors_.push_back(Tensor(p.dtype, p.shape));
      else
        tensors_.emplace_back();
    }
  }

  Tensor& input(int i) override { return tensor(plan_.input_ids.at(static_cast<size_t>(i))); }
  const Tensor& output(int i) const override {
    return tensors_[static_cast<size_t>(plan_.output_ids.at(static_cast<size_t>(i)))];
  }

  void run(const Plan::Tap& tap) override {
    std::multimap<int, int> taps;  // by tensor
    for (size_t i = 0; tap && i < plan_.tap_ids.size(); ++i) taps.emplace(plan_.tap_ids[i], static_cast<int>(i));
    auto show = [&](int id) {
      auto [first, last] = taps.equal_range(id);
      for (auto it = first; it != last; ++it) tap(it->second, tensor(id));
      taps.erase(first, last);
    };
    run_steps([&](const Step& step, RunContext& context) {
      step.run(context);
      if (!taps.empty())
        for (int id : step.outputs) show(id);
    });
    while (!taps.empty()) show(taps.begin()->first);  // inputs and constants
  }

  void run_timed(std::vector<double>& ms) override {
    ms.resize(plan_.list.size(), 0);
    size_t at = 0;
    run_steps([&](const Step& step, RunContext& context) {
      Stopwatch watch;
      step.run(context);
      ms[at++] += watch.ms();
    });
  }

 private:
  Tensor& tensor(int id) { return tensors_[static_cast<size_t>(id)]; }

  // work(step, context) for every step in turn, by the team.
  template <class Work>
  void run_steps(Work work) {
    const OpenMpThreads threads(plan_.threads);
    team_.run([&] {
      RunContext context{tensors_, plan_.fp16_scales, static_cast<char*>(scratch_.get()), plan_.threads, &node_kernels_};
      for (const auto& step : plan_.list) {
        check_stop();
        context.threads = step->small ? 1 : plan_.threads;
        work(*step, context);
      }
    });
  }

  const CompiledPlan& plan_;
  std::vector<Tensor> tensors_;
  std::shared_ptr<void> arena_, scratch_;
  ThreadTeam team_;
  NodeKernels node_kernels_{1};  // steps run in the team, which is not nested
};

}  // namespace

std::unique_ptr<Plan::Stream> CompiledPlan::new_stream() const { return std::make_unique<CompiledStream>(*this); }

int64_t CompiledPlan::stream_bytes() const {
  int64_t bytes = arena_bytes();
  for (int id : input_ids) {
    const Place& p = places[static_cast<size_t>(id)];
    if (is_static(p.shape)) bytes += elements(p.shape) * static_cast<int64_t>(size_of(p.dtype));
  }
  return bytes;
}

std::vector<StepInfo> CompiledPlan::steps() const {
  std::vector<StepInfo> infos;
  for (const auto& step : list) infos.push_back(step->info);
  return infos;
}

}  // namespace cytodet::exec
