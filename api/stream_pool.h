// Which of a model's streams are at work: several calls on one model share them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace cytodet::api {

class StreamPool {
 public:
  explicit StreamPool(int streams);

  // Streams, in [0, streams) and no other lease's, until it ends.
  class Lease {
   public:
    Lease(StreamPool& pool, std::vector<int> streams) : pool_(pool), streams_(std::move(streams)) {}
    ~Lease() { pool_.give_back(streams_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    const std::vector<int>& streams() const { return streams_; }

   private:
    StreamPool& pool_;
    std::vector<int> streams_;
  };
  // `count` streams (at least 1, at most all), lowest first. Waits until they are free; who came first is served first, so that a
  // call that needs all is not kept waiting by small ones.
  Lease take(int count);

 private:
  void give_back(const std::vector<int>& streams);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> busy_;  // by stream
  uint64_t next_ticket_ = 0, served_ = 0;
};

}  // namespace cytodet::api
