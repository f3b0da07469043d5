#include "pipeline/detect/scheduler_shard.h"

#include <charconv>
#include <cstdlib>

#include "core/error.h"

namespace cytodet::pipeline {
namespace {

constexpr int64_t kMaxShards = 1'000'000;

constexpr SchedulerEntry kSchedulers[] = {
    {"Slurm arrays", "SLURM_ARRAY_TASK_ID, _MIN, _MAX, _STEP, _COUNT"},
    {"Grid Engine arrays", "SGE_TASK_ID, _FIRST, _LAST, _STEPSIZE"},
    {"LSF arrays", "LSB_JOBINDEX, LSB_JOBINDEX_END"},
    {"Kubernetes indexed jobs", "JOB_COMPLETION_INDEX, and JOB_COMPLETIONS or --shard auto/N"},
    {"Open MPI", "OMPI_COMM_WORLD_RANK, _SIZE"},
    {"MPICH, Intel MPI", "PMI_RANK, PMI_SIZE"},
    {"MVAPICH", "MV2_COMM_WORLD_RANK, _SIZE"},
    {"srun", "SLURM_PROCID, SLURM_NTASKS inside a step (SLURM_STEP_ID)"},
};

class Reader {
 public:
  Reader(const Variables& variables, std::optional<int> count) : variables_(variables), asked_(count) {}

  SchedulerShard shard() {
    const std::optional<Part> array = array_part(), rank = rank_part();
    if (!array && !rank) refuse_none();
    if (asked_ && !array && rank->count != *asked_)
      throw UsageError("--shard auto/" + std::to_string(*asked_),
                       "contradicts " + rank->source + ", which has " + std::to_string(rank->count) + " ranks",
                       "leave /" + std::to_string(*asked_) + " out");
    const Part a = array.value_or(Part{}), r = rank.value_or(Part{});
    if (a.count > kMaxShards / r.count)
      throw UsageError("--shard auto", "makes over " + std::to_string(kMaxShards) + " parts", "use fewer tasks");
    return {static_cast<int>(a.index * r.count + r.index + 1), static_cast<int>(a.count * r.count),
            a.source + (array && rank ? " and " : "") + r.source};
  }

 private:
  struct Part {
    int64_t index = 0, count = 1;  // index from 0
    std::string source;
  };

  bool has(const char* name) const { return number(name).has_value(); }

  // Nothing also where Grid Engine writes "undefined" outside of an array.
  std::optional<int64_t> number(const char* name) const {
    const std::optional<std::string> text = variables_(name);
    if (!text || text->empty() || *text == "undefined") return std::nullopt;
    int64_t value = 0;
    const char* end = text->data() + text->size();
    const auto [stopped, error] = std::from_chars(text->data(), end, value);
    if (error != std::errc() || stopped != end || value < 0 || value > int64_t{1} << 31)
      throw UsageError(name, "is \"" + *text + "\", which is no number that --shard auto can use",
                       "give the part yourself: --shard i/n");
    return value;
  }

  int64_t require(const char* name, const char* beside) const {
    const std::optional<int64_t> value = number(name);
    if (!value)
      throw UsageError(name, "is not set, though " + std::string(beside) + " is", "give the part yourself: --shard i/n");
    return *value;
  }

  // Task `id` of first, first + step .. last.
  Part evenly(const char* name, int64_t id, int64_t first, int64_t last, int64_t step) const {
    if (step < 1 || last < first || id < first || id > last || (id - first) % step)
      throw UsageError(name,
                       "is " + std::to_string(id) + ", which is no task of " + std::to_string(first) + " to " +
                           std::to_string(last) + " in steps of " + std::to_string(step),
                       "give the part yourself: --shard i/n");
    return {(id - first) / step, (last - first) / step + 1, name};
  }

  // The part that --shard auto/N gives a task: tasks that are sent again alone keep theirs.
  Part numbered(const char* name, int64_t id, int64_t first) const {
    if (id < first || id - first >= *asked_)
      throw UsageError(name,
                       "is " + std::to_string(id) + ", but --shard auto/" + std::to_string(*asked_) + " has tasks " +
                           std::to_string(first) + " to " + std::to_string(*asked_ - 1 + first),
                       first ? "number the array from 1" : "number the tasks from 0");
    return {id - first, *asked_, name};
  }

  std::optional<Part> array_part() const {
    std::optional<Part> found;
    for (const auto read : {&Reader::slurm_array, &Reader::grid_engine, &Reader::lsf, &Reader::kubernetes}) {
      std::optional<Part> part = (this->*read)();
      if (part && found && (part->index != found->index || part->count != found->count))
        throw UsageError("--shard auto", found->source + " and " + part->source + " say different parts",
                         "unset the variable that is not the scheduler's, or give --shard i/n");
      if (!found) found = std::move(part);
    }
    return found;
  }

  std::optional<Part> slurm_array() const {
    constexpr const char* kId = "SLURM_ARRAY_TASK_ID";
    const std::optional<int64_t> id = number(kId);
    if (!id) return std::nullopt;
    if (asked_) return numbered(kId, *id, 1);
    const Part part = evenly(kId, *id, require("SLURM_ARRAY_TASK_MIN", kId), require("SLURM_ARRAY_TASK_MAX", kId),
                             number("SLURM_ARRAY_TASK_STEP").value_or(1));
    if (const auto count = number("SLURM_ARRAY_TASK_COUNT"); count && *count != part.count)
      throw UsageError("SLURM_ARRAY_TASK_COUNT",
                       "is " + std::to_string(*count) + ", but the array's first, last and step make " +
                           std::to_string(part.count) + " tasks: some were left out",
                       "number the array 1 to N and give --shard auto/N, so that each task keeps its part");
    return part;
  }

  std::optional<Part> grid_engine() const {
    constexpr const char* kId = "SGE_TASK_ID";
    const std::optional<int64_t> id = number(kId);
    if (!id) return std::nullopt;
    if (asked_) return numbered(kId, *id, 1);
    return evenly(kId, *id, require("SGE_TASK_FIRST", kId), require("SGE_TASK_LAST", kId),
                  number("SGE_TASK_STEPSIZE").value_or(1));
  }

  // Index 0 is a job that is no array.
  std::optional<Part> lsf() const {
    constexpr const char* kId = "LSB_JOBINDEX";
    const std::optional<int64_t> id = number(kId);
    if (!id || *id == 0) return std::nullopt;
    if (asked_) return numbered(kId, *id, 1);
    return evenly(kId, *id, 1, require("LSB_JOBINDEX_END", kId), 1);
  }

  std::optional<Part> kubernetes() const {
    constexpr const char* kId = "JOB_COMPLETION_INDEX";
    const std::optional<int64_t> id = number(kId), count = number("JOB_COMPLETIONS");
    if (!id) return std::nullopt;
    if (count && asked_ && *count != *asked_)
      throw UsageError("--shard auto/" + std::to_string(*asked_), "contradicts JOB_COMPLETIONS, " + std::to_string(*count),
                       "leave one of them out");
    if (asked_) return numbered(kId, *id, 0);
    if (!count)
      throw UsageError(kId, "is set, but Kubernetes does not tell the number of completions",
                       "give it: --shard auto/N, or the variable JOB_COMPLETIONS in the job");
    return evenly(kId, *id, 0, *count - 1, 1);
  }

  std::optional<Part> ranks(const char* rank, const char* size) const {
    const std::optional<int64_t> index = number(rank);
    if (!index) return std::nullopt;
    return evenly(rank, *index, 0, require(size, rank) - 1, 1);
  }

  // mpirun's own variables come first: under Slurm it starts ranks of its own beside those of the job.
  std::optional<Part> rank_part() const {
    std::optional<Part> found;
    constexpr const char* kPairs[][2] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                         {"PMI_RANK", "PMI_SIZE"},
                                         {"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"}};
    for (const auto& [rank, size] : kPairs) {
      std::optional<Part> part = ranks(rank, size);
      if (part && found && (part->index != found->index || part->count != found->count))
        throw UsageError("--shard auto", found->source + " and " + part->source + " say different parts",
                         "unset the variable that is not the launcher's, or give --shard i/n");
      if (!found) found = std::move(part);
    }
    if (found) return found;
    const std::optional<int64_t> tasks = number("SLURM_NTASKS");
    if (!tasks || !has("SLURM_PROCID")) return std::nullopt;
    if (has("SLURM_STEP_ID") || has("SLURM_STEPID")) return ranks("SLURM_PROCID", "SLURM_NTASKS");
    if (*tasks > 1)
      throw UsageError("SLURM_NTASKS", "is " + std::to_string(*tasks) + ", but this is the job's script, which runs once",
                       "start it with srun, or ask for one task");
    return std::nullopt;
  }

  [[noreturn]] static void refuse_none() {
    std::string known;
    for (const SchedulerEntry& s : kSchedulers) known += (known.empty() ? "" : "; ") + std::string(s.name) + ": " + s.variables;
    throw UsageError("--shard auto", "finds no scheduler's variables", "give --shard i/n, or start it from one of: " + known);
  }

  const Variables& variables_;
  const std::optional<int> asked_;
};

}  // namespace

Variables environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
}

std::span<const SchedulerEntry> schedulers() { return kSchedulers; }

SchedulerShard shard_of_scheduler(const Variables& variables, std::optional<int> count) {
  return Reader(variables, count).shard();
}

}  // namespace cytodet::pipeline
