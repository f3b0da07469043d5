// A step that computes an expression of element-wise operations in one pass over memory: block by block, each operation on
// a block that lies in the first-level cache (exec/kernels/expression/).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "exec/kernels/expression/expression.h"
#include "exec/steps/row_io.h"

namespace cytodet::exec {

// What the expression reads: a tensor of the plan, or a constant; broadcast to the expression's shape.
struct ExpressionLeaf {
  Shape shape;
  std::optional<Tensor> constant;  // f32; else the next of the step's inputs
  DType dtype = DType::f32;        // of the tensor: f32, or u8, i32 and bool, whose elements become floats
};

// registers[to] = op(registers[a], ...). Registers [0, leaves) are the leaves.
struct ExpressionOp {
  ExprOp op;
  int to, a, b = -1, c = -1;
};

struct Expression {
  Shape shape;
  std::vector<ExpressionLeaf> leaves;
  std::vector<ExpressionOp> ops;  // in the order they run; the last gives the result

  // Whether all that it reads has the expression's shape or is constant, so that a map may be of any storage type.
  bool works_in_rows() const;
  // Makes one operation of a product, the sum that alone reads it, and a relu behind: a batch norm before its activation.
  void fuse_products();
};

// Kernel "elementwise"; `inputs` are those of the leaves that are not constant, in order. Each but f32 maps of the expression's
// shape are stored as they are.
std::unique_ptr<Step> make_expression(const Expression& expression, const std::vector<StepInput>& inputs,
                                      const StepOutput& output);

}  // namespace cytodet::exec
