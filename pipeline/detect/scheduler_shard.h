// --shard auto: which part of the list a worker takes, as the scheduler that started it says in its variables.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

namespace cytodet::pipeline {

struct SchedulerShard {
  int index = 1, count = 1;  // index from 1
  std::string source;        // the variables that say so
};

// The value of an environment variable; nothing where it is not set.
using Variables = std::function<std::optional<std::string>(const char* name)>;
Variables environment();

// The schedulers that are known, for messages and documentation.
struct SchedulerEntry {
  const char *name, *variables;
};
std::span<const SchedulerEntry> schedulers();

// Tasks of an array (Slurm, Grid Engine, LSF, Kubernetes) and the ranks inside each of them (MPI, srun) together: with a array
// tasks of r ranks there are a * r parts. `count`: what the user says the number of array tasks is (auto/N); then tasks are
// numbered from 1 to N, those of Kubernetes from 0. Throws UsageError with the variables: none is set, one is no number, the
// numbers of an array are not evenly spaced, or contradict each other or `count`.
SchedulerShard shard_of_scheduler(const Variables& variables, std::optional<int> count = {});

}  // namespace cytodet::pipeline
