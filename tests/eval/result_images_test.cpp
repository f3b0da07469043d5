// Whose detections results of other programs are.
#include "eval/result_images.h"

#include <gmock/gmock.h>

#include "eval/coco.h"
#include "tests/error_of.h"

namespace cytodet {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

GroundTruth truth_of(const std::string& images, const std::string& annotations = "") {
  return parse_ground_truth(R"({"images":[)" + images +
                                R"(],"categories":[{"id":1,"name":"WBC"},{"id":2,"name":"RBC"}],"annotations":[)" + annotations +
                                "]}",
                            "truth.json");
}

// A list of detections; each row is what stands before category_id.
std::string results(const std::vector<std::string>& rows) {
  std::string text;
  for (const std::string& row : rows)
    text += (text.empty() ? "[{" : ",{") + row + R"("category_id":1,"bbox":[1,2,3,4],"score":0.5})";
  return text + "]";
}

struct Scored {
  std::vector<int64_t> images;
  std::vector<std::string> warnings;
};
Scored scored(const GroundTruth& truth, const std::vector<std::string>& rows, const PathsOfIds& paths = {}) {
  const DetectionSet set = parse_detections(results(rows), "r.json", truth, paths);
  Scored s{{}, set.warnings};
  for (const int32_t i : set.image) s.images.push_back(truth.images[static_cast<size_t>(i)].id);
  return s;
}
std::string refused(const GroundTruth& truth, const std::vector<std::string>& rows) {
  return error_of([&] { scored(truth, rows); });
}

const char* const kThree = R"({"id":1,"file_name":"a.jpg"},{"id":2,"file_name":"w1/b.jpg"},{"id":3,"file_name":"w2/b.jpg"})";

TEST(ResultImages, NumbersInEverySpellingAreIds) {
  const GroundTruth truth = truth_of(kThree);
  const Scored s = scored(truth, {R"("image_id":2,)", R"("image_id":1.0,)", R"("image_id":"3",)"});
  EXPECT_THAT(s.images, ElementsAre(2, 1, 3));
  EXPECT_THAT(s.warnings, IsEmpty());
  EXPECT_THAT(refused(truth, {R"("image_id":1,)", R"("image_id":7,)"}),
              HasSubstr("r.json: detections[1].image_id 7 is not in the ground truth"));
}

TEST(ResultImages, UltralyticsStemsAreNamesOfFiles) {
  const GroundTruth truth = truth_of(kThree);
  const Scored s = scored(truth, {R"("image_id":"a",)", R"("image_id":"w2/b.jpg",)", R"("image_id":"a",)"});
  EXPECT_THAT(s.images, ElementsAre(1, 3, 1));
  EXPECT_THAT(s.warnings, ElementsAre(HasSubstr("2 images are matched by name: \"a\" is a.jpg, id 1")));
  EXPECT_THAT(refused(truth, {R"("image_id":"a",)", R"("image_id":"b",)"}),
              HasSubstr("may be any of 2 names: w1/b.jpg, w2/b.jpg"));
  EXPECT_THAT(refused(truth, {R"("image_id":"a",)", R"("image_id":"zz",)"}),
              HasSubstr("detections[1].image_id \"zz\" is not in the ground truth, "
                        "neither as an id nor as the name of a file"));
  EXPECT_THAT(scored(truth, {R"("image_id":"b","file_name":"b.jpg","file_name":"w1/b.jpg",)"}).images, ElementsAre(2))
      << "a name beside the id says more";
}

TEST(ResultImages, ANumberInANameIsNotTakenForAnId) {
  const GroundTruth truth =
      truth_of(R"({"id":1,"file_name":"0002.jpg"},{"id":2,"file_name":"0001.jpg"},{"id":3,"file_name":"c.jpg"})");
  const Scored named = scored(truth, {R"("image_id":1,"file_name":"0001.jpg",)", R"("image_id":2,"file_name":"0002.jpg",)"});
  EXPECT_THAT(named.images, ElementsAre(2, 1));
  EXPECT_THAT(named.warnings, ElementsAre(HasSubstr("matched by name: 1 (0001.jpg) is 0001.jpg, id 2")));
  EXPECT_THAT(scored(truth, {R"("image_id":1,)", R"("image_id":"c",)"}).images, ElementsAre(2, 3)) << "a stem is among them";
  const Scored alone = scored(truth, {R"("image_id":1,)"});
  EXPECT_THAT(alone.images, ElementsAre(1)) << "COCO's ids";
  EXPECT_THAT(alone.warnings, ElementsAre(HasSubstr("1 is 0002.jpg; should it be the number in "
                                                    "the name, that is 0001.jpg")));
  EXPECT_THAT(scored(truth_of(R"({"id":139,"file_name":"000000000139.jpg"})"), {R"("image_id":139,)"}).warnings, IsEmpty());
  const GroundTruth elsewhere = truth_of(R"({"id":50,"file_name":"0001.jpg"},{"id":51,"file_name":"0002.jpg"})");
  EXPECT_THAT(scored(elsewhere, {R"("image_id":2,)", R"("image_id":1,)"}).images, ElementsAre(51, 50));
  EXPECT_THAT(refused(truth_of(R"({"id":50,"file_name":"1.jpg"},{"id":51,"file_name":"01.jpg"})"), {R"("image_id":1,)"}),
              HasSubstr("1 may be 1.jpg or 01.jpg"));
}

TEST(ResultImages, NullSaysWhatToDo) {
  const GroundTruth truth = truth_of(kThree);
  EXPECT_THAT(
      refused(truth, {R"("image_id":null,)"}),
      AllOf(HasSubstr("r.json: detections[0].image_id is null, as SAHI writes it"), HasSubstr("set it to the image's id")));
  EXPECT_THAT(refused(truth, {""}), HasSubstr("detections[0].image_id is missing"));
  EXPECT_THAT(scored(truth, {R"("image_id":null,"file_name":"a.jpg",)"}).images, ElementsAre(1));
  EXPECT_THAT(scored(truth, {R"("file_name":"x/w1/b.jpg",)"}).images, ElementsAre(2));
  const Scored one = scored(truth_of(R"({"id":9,"file_name":"only.jpg"})"), {R"("image_id":null,)", R"("image_id":null,)"});
  EXPECT_THAT(one.images, ElementsAre(9, 9));
  EXPECT_THAT(one.warnings, ElementsAre(HasSubstr("the ground truth's only image, only.jpg")));
}

TEST(ResultImages, IdsAndNamesAreNotMixed) {
  const GroundTruth truth = truth_of(R"({"id":1,"file_name":"a.jpg"},{"id":2,"file_name":"b.jpg"})");
  EXPECT_THAT(refused(truth, {R"("image_id":2,)", R"("image_id":"a",)"}),
              HasSubstr("2 is an id of the ground truth, while others are names of files"));
  EXPECT_THAT(refused(truth, {R"("image_id":1,"file_name":"b.jpg",)", R"("image_id":2,"file_name":"c.jpg",)"}),
              HasSubstr("2 (c.jpg) is the ground truth's id of another file"));
}

TEST(ResultImages, AGroundTruthWhoseIdsAreTexts) {
  const GroundTruth truth = parse_ground_truth(
      R"({"images":[{"id":"zeta","file_name":"z.jpg"},{"id":"alpha","file_name":"x.jpg"},{"id":"7"}],
    "categories":[{"id":"wbc","name":"WBC"},{"id":"rbc","name":"RBC"}],
    "annotations":[{"id":"n1","image_id":"zeta","category_id":"rbc","bbox":[1,2,3,4]},
    {"id":"n2","image_id":7,"category_id":"wbc","bbox":[1,2,3,4]}]})",
      "truth.json");
  ASSERT_EQ(truth.size(), 2u);
  EXPECT_EQ(truth.images[static_cast<size_t>(truth.image[0])].file_name, "z.jpg");
  EXPECT_EQ(truth.images[static_cast<size_t>(truth.image[1])].id, 7) << "a number in quotes";
  EXPECT_GT(truth.images[static_cast<size_t>(truth.image[0])].id, 7);
  EXPECT_EQ(truth.categories[static_cast<size_t>(truth.category[0])].name, "RBC");
  const DetectionSet set = parse_detections(
      R"([{"image_id":"zeta","category_id":"rbc","bbox":[1,2,3,4],"score":1},{"image_id":7,"category_id":"WBC","bbox":[1,2,3,4],"score":1}])",
      "r.json", truth);
  EXPECT_EQ(set.image, (std::vector<int32_t>{truth.image[0], truth.image[1]}));
  EXPECT_EQ(set.category, (std::vector<int32_t>{truth.category[0], truth.category[1]})) << "by id, and by name";
  EXPECT_NEAR(score(truth, set, {}).stats.at(0), 1, 1e-12);
  EXPECT_THAT(refused(truth, {R"("image_id":8,)"}), HasSubstr("image_id 8 is not in the ground truth"))
      << "the number that stands for a text is nobody's id";
  EXPECT_EQ(truth.category_of_class(2, "RBC"), truth.category[0]);
  EXPECT_EQ(truth.category_of_class(2, "Platelets"), -1);
  EXPECT_THAT(error_of([] { truth_of(R"({"id":"a"},{"id":"a"})"); }), HasSubstr("id \"a\" is used twice"));
  EXPECT_THAT(error_of([] { truth_of(R"({"id":"1"},{"id":1})"); }), HasSubstr("id 1 is used twice"));
}

TEST(ResultImages, ResultsOfARunAreMatchedByPath) {
  const GroundTruth truth = truth_of(kThree);
  const PathsOfIds paths{{1, "/data/w2/b.jpg"}, {2, "/data/a.jpg"}, {3, "/data/new.jpg"}};
  const Scored s = scored(truth, {R"("image_id":1,)", R"("image_id":2,)", R"("image_id":3,)"}, paths);
  EXPECT_THAT(s.images, ElementsAre(3, 1)) << "the third is not in the ground truth";
  EXPECT_THAT(s.warnings,
              ElementsAre(HasSubstr("image ids are those of run.json"), HasSubstr("1 image is not in the ground truth")));
}

TEST(GroundTruth, AnIdForOthersIsNoneOfItsOwn) {
  EXPECT_EQ(truth_of(kThree).free_id(), 4);
  EXPECT_EQ(truth_of(R"({"id":-5})").free_id(), 1);
  EXPECT_THAT(error_of([] { truth_of(R"({"id":9223372036854775807})").free_id(); }), HasSubstr("none is left"));
}

}  // namespace
}  // namespace cytodet
