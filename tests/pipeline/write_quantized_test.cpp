// A file that does not answer as the quantized network does is never written: by quantize or by run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "pipeline/quantize/quantize_model.h"
#include "tests/error_of.h"
#include "tests/graph/fixtures.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

class WriteQuantized : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    subject.path = "net.pb";
    subject.graph = fixture();
    subject.plan.outputs = {"conv"};
    subject.interface = {{"x"}, {"conv"}};
    quantized.graph = subject.graph;
  }
  QuantizationTarget subject;
  Quantized quantized;
};

TEST_F(WriteQuantized, AModelFileReplacesModelFilesAlone) {
  QuantizationTarget model;
  model.path = kModel;
  model.model.emplace();
  put("int8.json", "{\"patient\": 1}");
  EXPECT_THAT(error_of([&] { check_writable(model, path("int8.pb")); }), HasSubstr("int8.json: stands where the model file"));
  check_writable(subject, path("int8.pb"));
  put("int8.json", read_file(kModel));
  check_writable(model, path("int8.pb"));
}

TEST_F(WriteQuantized, FileThatAnswersOtherwiseIsRefused) {
  Tensor zeros = fixture_weights();
  std::fill_n(zeros.data<float>(), zeros.size(), 0.0f);
  Graph file;
  placeholder(file, "x", {1, 1, 6, 2});
  constant(file, "w", zeros);
  add(file, "conv", "Conv2D", {"x", "w"}, conv_attrs());
  const std::string error = error_of([&] { write_quantized(subject, quantized, file, path("int8.pb")); });
  EXPECT_THAT(error, HasSubstr("net.pb"));
  EXPECT_THAT(error, HasSubstr("conv"));
  EXPECT_EQ(names(folder), std::vector<std::string>{});
  write_quantized(subject, quantized, file, path("int8.pb"), FileCheck::no);
  EXPECT_EQ(names(folder), std::vector<std::string>{"int8.pb"});
}

TEST_F(WriteQuantized, FileThatAnswersAlikeIsWritten) {
  write_quantized(subject, quantized, subject.graph, path("int8.pb"));
  EXPECT_EQ(names(folder), std::vector<std::string>{"int8.pb"});
}

}  // namespace
}  // namespace cytodet::test
