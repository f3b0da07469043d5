// What a run that rounds weights (moments.h) keeps in a file, so that the next one need not begin anew should it be killed.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "quant/moments.h"

namespace cytodet::quant {

// The sums of the first `samples` samples, as they are dealt to lanes; of all of them, in the first lane.
struct MomentSums {
  int64_t samples = 0;
  std::vector<int64_t> used;                     // samples that could be fed, by lane
  std::vector<std::vector<InputMoments>> lanes;  // [lane][layer]
};

// Nothing is written before kPatience seconds of work, so that short runs leave no file, and what is written again takes a small
// share of the time. A file that cannot be written is a warning, once: the work goes on without it.
class RoundingState {
 public:
  static constexpr double kPatience = 2;

  // `settings`: hash of all that sums and weights depend on. What was kept under others is removed. Throws Error where the file
  // is none of this kind.
  RoundingState(std::filesystem::path file, std::string settings, double patience = kPatience);

  // The kept sums into `sums`, which has the lanes and layers that are expected, without numbers; false: none fit.
  bool read_sums(MomentSums& sums) const;
  // Writes the sums if the last write is long enough ago, or if these are the `last`.
  void keep_sums(const MomentSums& sums, bool last);

  // A layer's weights by their key, see Moments::rounded(). Any thread.
  std::optional<RoundedLayer> find(const std::string& key) const;
  void keep(const std::string& key, const RoundedLayer& layer);

  int64_t kept_samples() const { return kept_samples_; }  // when it was opened
  size_t kept_layers() const { return kept_layers_; }
  const std::filesystem::path& file() const { return file_; }
  void remove();  // the work is done

 private:
  using Clock = std::chrono::steady_clock;
  void read();
  void give_up(const std::string& why);
  void write_start(const MomentSums* sums);
  void append(const std::string& section);

  std::filesystem::path file_;
  std::string settings_;
  double patience_, writing_s_ = 0;
  Clock::time_point last_ = Clock::now();
  mutable std::mutex mutex_;
  bool written_ = false, given_up_ = false;
  int64_t sums_at_ = -1, kept_samples_ = 0;  // where the numbers of the sums begin [bytes]; -1: there are none
  size_t kept_layers_ = 0;
  std::map<std::string, RoundedLayer> layers_;
};

}  // namespace cytodet::quant
