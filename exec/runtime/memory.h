// Arena planning: tensors that do not live at the same time share memory.
#pragma once

#include <cstdint>
#include <vector>

namespace cytodet::exec {

struct Lifetime {
  int64_t bytes = 0;
  int first = 0, last = 0;  // steps, inclusive
};

// Offsets (64-byte aligned) such that tensors whose lifetimes overlap do not; `total` gets the arena's size. Largest first,
// each into the lowest gap that holds it.
std::vector<int64_t> plan_arena(const std::vector<Lifetime>& tensors, int64_t& total);

}  // namespace cytodet::exec
