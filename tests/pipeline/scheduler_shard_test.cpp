// --shard auto: parts from the variables of schedulers and launchers.
#include "pipeline/detect/scheduler_shard.h"

#include <gmock/gmock.h>

#include <map>

#include "tests/error_of.h"

namespace cytodet::pipeline {
namespace {

using ::testing::HasSubstr;
using Set = std::map<std::string, std::string>;

Variables variables(const Set& set) {
  return [set](const char* name) {
    const auto found = set.find(name);
    return found == set.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
}

std::string part(const Set& set, std::optional<int> count = {}) {
  std::string text;
  const std::string problem = error_of([&] {
    const SchedulerShard s = shard_of_scheduler(variables(set), count);
    text = std::to_string(s.index) + "/" + std::to_string(s.count);
  });
  return problem.empty() ? text : problem;
}

Set slurm(const char* id, const char* min, const char* max, const char* step, const char* count) {
  return {{"SLURM_ARRAY_TASK_ID", id},
          {"SLURM_ARRAY_TASK_MIN", min},
          {"SLURM_ARRAY_TASK_MAX", max},
          {"SLURM_ARRAY_TASK_STEP", step},
          {"SLURM_ARRAY_TASK_COUNT", count}};
}

TEST(SchedulerShard, EverySchedulerTellsItsPart) {
  EXPECT_EQ(part(slurm("3", "1", "8", "1", "8")), "3/8");
  EXPECT_EQ(part(slurm("0", "0", "7", "1", "8")), "1/8");
  EXPECT_EQ(part(slurm("20", "10", "30", "10", "3")), "2/3");
  EXPECT_EQ(part({{"SGE_TASK_ID", "5"}, {"SGE_TASK_FIRST", "1"}, {"SGE_TASK_LAST", "9"}, {"SGE_TASK_STEPSIZE", "2"}}), "3/5");
  EXPECT_EQ(part({{"LSB_JOBINDEX", "2"}, {"LSB_JOBINDEX_END", "4"}}), "2/4");
  EXPECT_EQ(part({{"JOB_COMPLETION_INDEX", "0"}, {"JOB_COMPLETIONS", "4"}}), "1/4");
  EXPECT_EQ(part({{"JOB_COMPLETION_INDEX", "3"}}, 4), "4/4");
  EXPECT_EQ(part({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}}), "2/2");
  EXPECT_EQ(part({{"PMI_RANK", "0"}, {"PMI_SIZE", "3"}}), "1/3");
  EXPECT_EQ(part({{"MV2_COMM_WORLD_RANK", "2"}, {"MV2_COMM_WORLD_SIZE", "3"}}), "3/3");
  EXPECT_EQ(part({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "0"}}), "2/4");
}

TEST(SchedulerShard, RanksInsideOfArrayTasksAreTogetherAllParts) {
  Set set = slurm("2", "1", "3", "1", "3");
  set.insert({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "0"}});
  EXPECT_EQ(part(set), "6/12");
  // mpirun under Slurm starts ranks of its own.
  EXPECT_EQ(part({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "4"}}),
            "4/4");
  // Grid Engine outside of an array; a Slurm job with one task.
  EXPECT_THAT(part({{"SGE_TASK_ID", "undefined"}}), HasSubstr("finds no scheduler's variables"));
  EXPECT_EQ(part({{"SGE_TASK_ID", "undefined"}, {"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}), "1/1");
}

TEST(SchedulerShard, ContradictionsAreRefused) {
  EXPECT_THAT(part({}), HasSubstr("Kubernetes indexed jobs"));
  EXPECT_THAT(part(slurm("7", "3", "7", "1", "2")), HasSubstr("some were left out")) << "--array=3,7";
  EXPECT_EQ(part(slurm("7", "3", "7", "1", "2"), 8), "7/8") << "tasks that are sent again keep their parts";
  EXPECT_THAT(part(slurm("9", "9", "9", "1", "1"), 8), HasSubstr("has tasks 1 to 8"));
  EXPECT_THAT(part(slurm("0", "0", "7", "1", "8"), 8), HasSubstr("number the array from 1"));
  EXPECT_THAT(part(slurm("9", "1", "8", "1", "8")), HasSubstr("no task of 1 to 8"));
  EXPECT_THAT(part(slurm("x", "1", "8", "1", "8")), HasSubstr("SLURM_ARRAY_TASK_ID: is \"x\", which is no number"));
  EXPECT_THAT(part({{"SLURM_ARRAY_TASK_ID", "1"}}), HasSubstr(" is not set, though SLURM_ARRAY_TASK_ID is"));
  EXPECT_THAT(part({{"JOB_COMPLETION_INDEX", "1"}}), HasSubstr("does not tell the number"));
  EXPECT_THAT(part({{"JOB_COMPLETION_INDEX", "1"}, {"JOB_COMPLETIONS", "4"}}, 5), HasSubstr("contradicts JOB_COMPLETIONS, 4"));
  EXPECT_THAT(part({{"PMI_RANK", "1"}, {"PMI_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}}),
              HasSubstr("say different parts"));
  EXPECT_THAT(part({{"PMI_RANK", "1"}, {"PMI_SIZE", "4"}}, 3), HasSubstr("contradicts PMI_RANK, which has 4 ranks"));
  EXPECT_THAT(part({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}), HasSubstr("start it with srun"));
  EXPECT_THAT(part({{"PMI_RANK", "4"}, {"PMI_SIZE", "4"}}), HasSubstr("no task of 0 to 3"));
  Set two = slurm("1", "1", "2", "1", "2");
  two.insert({{"SGE_TASK_ID", "2"}, {"SGE_TASK_FIRST", "1"}, {"SGE_TASK_LAST", "2"}});
  EXPECT_THAT(part(two), HasSubstr("say different parts"));
}

}  // namespace
}  // namespace cytodet::pipeline
