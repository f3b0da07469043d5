// Control flow, tensor arrays and tensor lists. A branch that is not taken is an undefined tensor; interpret() keeps loops and
// arrays (graph/interpret/control_flow.h), so their rows only say what is known before data.
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

void eval_switch(OpCall& call) {
  const Tensor& condition = input(call, 1);
  need(condition.dtype() == DType::boolean && condition.size() == 1, "the condition must be one bool");
  call.out.assign(2, Tensor());
  call.out[condition.data<bool>()[0] ? 1 : 0] = call.in[0];
}
void infer_switch(InferCall& call) { call.out.assign(2, fact(call.in[0].dtype, call.in[0].shape)); }

void eval_merge(OpCall& call) {
  for (size_t i = 0; i < call.in.size(); ++i)
    if (call.in[i].defined()) {
      call.out = {call.in[i], Tensor::scalar(static_cast<int32_t>(i))};
      return;
    }
  throw Error("", "none of its inputs is alive");
}
// What all inputs have in common; nothing where one of them is not known, as in a loop.
std::optional<Shape> common_shape(const Inputs<Fact>& facts) {
  std::optional<Shape> common = facts.empty() ? std::nullopt : facts[0].shape;
  for (const Fact& f : facts) {
    if (!common || !f.shape || f.shape->size() != common->size()) return {};
    for (size_t i = 0; i < common->size(); ++i)
      if ((*common)[i] != (*f.shape)[i]) (*common)[i] = -1;
  }
  return common;
}
void infer_merge(InferCall& call) {
  call.out = {fact(call.in.empty() ? DType::invalid : call.in[0].dtype, common_shape(call.in)), fact(DType::i32, Shape{})};
}

void eval_array(OpCall&) {
  throw Error("", "tensor arrays and lists live only in a whole graph", "run the graph with the interpreter");
}

void infer_array(InferCall& call) { call.out = {Fact{}, fact(DType::f32, Shape{})}; }
void infer_flow(InferCall& call) { call.out = {fact(DType::f32, Shape{})}; }
void infer_element(InferCall& call) { call.out = {fact(call.node.attr_or("dtype", DType::invalid))}; }
// One element per index, of the shape that the node states.
void infer_array_gather(InferCall& call) {
  std::optional<Shape> shape;
  if (const ShapeAttr element = call.node.attr_or("element_shape", ShapeAttr{false, {}});
      element.known_rank && !element.dims.empty()) {
    shape = element.dims;
    shape->insert(shape->begin(), known_dim(call, 1, 0));
  }
  call.out = {fact(call.node.attr_or("dtype", DType::invalid), shape)};
}
void infer_count(InferCall& call) { call.out = {fact(DType::i32, Shape{})}; }
void infer_array_concat(InferCall& call) {
  call.out = {fact(call.node.attr_or("dtype", DType::invalid)), fact(DType::i64, Shape{-1})};
}
void infer_list(InferCall& call) { call.out = {Fact{}}; }
void infer_list_item(InferCall& call) { call.out = {fact(call.node.attr_or("element_dtype", DType::invalid))}; }
void infer_list_pop(InferCall& call) { call.out = {Fact{}, fact(call.node.attr_or("element_dtype", DType::invalid))}; }
void infer_list_concat(InferCall& call) {
  call.out = {fact(call.node.attr_or("element_dtype", DType::invalid)), fact(DType::i64, Shape{-1})};
}

}  // namespace

const std::vector<Op>& control_ops() {
  static const std::vector<Op> rows = {
      {"EmptyTensorList", infer_list, eval_array, true},
      {"Enter", infer_same, eval_pass, true},
      {"Exit", infer_same, eval_pass, true},
      {"LoopCond", infer_same, eval_pass, true},
      {"Merge", infer_merge, eval_merge, true},
      {"NextIteration", infer_same, eval_pass, true},
      {"Switch", infer_switch, eval_switch, true},
      {"TensorArrayCloseV3", infer_nothing, eval_array, true},
      {"TensorArrayConcatV3", infer_array_concat, eval_array, true},
      {"TensorArrayGatherV3", infer_array_gather, eval_array, true},
      {"TensorArrayReadV3", infer_element, eval_array, true},
      {"TensorArrayScatterV3", infer_flow, eval_array, true},
      {"TensorArraySizeV3", infer_count, eval_array, true},
      {"TensorArraySplitV3", infer_flow, eval_array, true},
      {"TensorArrayV3", infer_array, eval_array, true},
      {"TensorArrayWriteV3", infer_flow, eval_array, true},
      {"TensorListConcatV2", infer_list_concat, eval_array, true},
      {"TensorListFromTensor", infer_list, eval_array, true},
      {"TensorListGather", infer_list_item, eval_array, true},
      {"TensorListGetItem", infer_list_item, eval_array, true},
      {"TensorListLength", infer_count, eval_array, true},
      {"TensorListPopBack", infer_list_pop, eval_array, true},
      {"TensorListPushBack", infer_list, eval_array, true},
      {"TensorListReserve", infer_list, eval_array, true},
      {"TensorListResize", infer_list, eval_array, true},
      {"TensorListScatterIntoExistingList", infer_list, eval_array, true},
      {"TensorListScatterV2", infer_list, eval_array, true},
      {"TensorListSetItem", infer_list, eval_array, true},
      {"TensorListSplit", infer_list, eval_array, true},
      {"TensorListStack", infer_list_item, eval_array, true},
  };
  return rows;
}

}  // namespace cytodet::graph::ops
