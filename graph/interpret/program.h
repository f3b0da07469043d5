// A graph as numbered steps over numbered registers, ready to be interpreted many times (graph/interpret/interpreter.h).
#pragma once

#include <string>
#include <vector>

#include "graph/ir/op.h"

namespace cytodet::graph {

struct Program {
  enum class Kind : uint8_t {
    compute,   // the op's eval, or the evaluator of the node
    constant,  // a Const that waits for others
    pass,      // Identity, LoopCond, Enter: its input
    route,     // Switch
    merge,     // Merge: its first input that is alive
    next,      // NextIteration: its input for the Merge of the next iteration
    exit,      // Exit
    array,     // an op of tensor arrays
    list,      // an op of tensor lists
  };
  struct Read {
    int at = -1;        // register; of a Merge's back edge the number of the NextIteration in its loop
    bool back = false;  // a back edge
    bool last = false;  // nobody reads the register after this in the iteration
  };
  struct Step {
    Kind kind = Kind::compute;
    bool once = false;        // what it gives is the same in all iterations of its loop; at the root, in all runs
    bool first_only = false;  // Enter: runs in the first iteration alone
    bool stays = false;       // Enter of a loop constant: its value stays for all iterations
    const Node* node = nullptr;
    const Op* op = nullptr;  // null: unknown
    std::vector<Read> in;
    std::vector<int> controls;  // steps that must have run
    std::vector<int> out;       // registers by slot; -1: nobody reads it
    int loop = -1;              // of the first Exit of a loop: the loop, which runs then
    int frame = 0;              // in which it runs
    int carried = -1;           // of a NextIteration: its number in its loop
    Tensor value;               // constant
  };
  struct Frame {
    std::string name;
    int first_step = 0, end_step = 0;
    int first_register = 0, end_register = 0;
    int carried = 0;         // NextIterations
    std::vector<int> exits;  // steps of the frame around it
  };

  std::vector<Step> steps;
  std::vector<Frame> frames;      // 0: the root
  std::vector<Tensor> constants;  // of registers 0, 1, ...: the same in all runs
  int registers = 0;
  std::vector<char> step_stays, register_stays;  // of loop constants: for all iterations
  std::vector<int> fed, fetched;                 // registers; fetched -1: has no value outside of loops
  bool straight = false;                         // without loops and conditions: every value exists
};

// The nodes that the fetches need when the values of `fed` are given, as a program. The graph must outlive it. Throws Error
// naming a node on a cycle, and on loops that cannot run.
Program prepare(const Graph& graph, const std::vector<Value>& fed, const std::vector<Value>& fetches);

}  // namespace cytodet::graph
