#include "core/path_match.h"

#include <gmock/gmock.h>

#include <random>

#include "core/error.h"
#include "tests/cpu_clock.h"
#include "tests/error_of.h"

namespace cytodet {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Names = std::vector<std::string>;

std::vector<int> found(const Names& names, const std::string& path) { return PathIndex(names).find(path).names; }
PathAssignment assigned(const Names& names, const Names& paths) {
  return assign_paths(PathIndex(names), paths, "truth.json", "image of the ground truth");
}

TEST(PathIndex, TheLongestSuffixOfWholeComponentsDecides) {
  const Names names{"ward1/img1.jpg", "ward2/img1.jpg", "img1.jpg", "ward2/img2.jpg"};
  EXPECT_THAT(found(names, "/data/ward1/img1.jpg"), ElementsAre(0));
  EXPECT_THAT(found(names, "data/ward2/img1.jpg"), ElementsAre(1));
  EXPECT_THAT(found(names, "img1.jpg"), ElementsAre(2)) << "the whole path is the whole name";
  EXPECT_THAT(found(names, "/elsewhere/img1.jpg"), ElementsAre(2)) << "the folders of the others differ";
  EXPECT_THAT(found(names, "ward2/img2.jpg"), ElementsAre(3));
  EXPECT_THAT(found(names, "img2.jpg"), ElementsAre(3));
  EXPECT_THAT(found(names, "x/img3.jpg"), IsEmpty());
  EXPECT_THAT(found(names, "x/myimg2.jpg"), IsEmpty()) << "components are whole";
  EXPECT_THAT(found({"a/w1/i.jpg", "a/w2/i.jpg"}, "b/w2/i.jpg"), ElementsAre(1)) << "as far as folders agree";
  EXPECT_THAT(found({"a/w1/i.jpg", "a/w2/i.jpg"}, "b/w3/i.jpg"), ElementsAre(0, 1));
  EXPECT_THAT(found({"i.jpg", "q/w1/i.jpg"}, "/data/w1/i.jpg"), ElementsAre(1)) << "longer, although its first folder differs";
}

TEST(PathIndex, EitherSlashPartsComponents) {
  const Names names{"ward1\\img1.jpg", "C:\\data\\ward2\\img1.jpg"};
  EXPECT_THAT(found(names, "/x/ward1/img1.jpg"), ElementsAre(0));
  EXPECT_THAT(found(names, "D:\\other\\ward2\\img1.jpg"), ElementsAre(1));
  EXPECT_THAT(found({"./b/../a//i.jpg", "b/i.jpg"}, "x/a/./i.jpg"), ElementsAre(0)) << "dots name no folder";
  EXPECT_THAT(found({"../images/i.jpg"}, "/data/images/i.jpg"), ElementsAre(0));
}

TEST(PathIndex, ExactNamesGoBeforeNormalisedOnes) {
  const std::string composed = "Pr\xC3\xA4parat.jpg", apart = "Pra\xCC\x88parat.jpg", latin1 = "Pr\xE4parat.jpg";
  struct Row {
    const char* what;
    Names names;
    std::string path;
    int name;
    Spelling spelling;
  };
  const std::vector<Row> rows{
      {"exact", {"A.jpg", "a.jpg"}, "x/a.jpg", 1, Spelling::exact},
      {"normal forms", {composed, "b.jpg"}, "x/" + apart, 0, Spelling::unicode},
      {"normal forms, exact first", {apart, composed}, "x/" + composed, 1, Spelling::exact},
      {"case", {"b.jpg", "IMG1.JPG"}, "x/img1.jpg", 1, Spelling::letter_case},
      {"case beyond ASCII", {"PR\xC3\x84PARAT.jpg"}, apart, 0, Spelling::letter_case},
      {"percent", {"my%20slide%281%29.jpg"}, "x/my slide(1).jpg", 0, Spelling::encoding},
      {"percent in the path", {"a b.jpg"}, "file:///x/a%20b.jpg", 0, Spelling::encoding},
      {"a percent sign", {"50% done.jpg"}, "x/50% done.jpg", 0, Spelling::exact},
      {"Latin-1", {composed}, "x/" + latin1, 0, Spelling::encoding},
      {"address", {"https://host/ward1/a.jpg?X-Sig=1%2F2", "https://host/ward2/a.jpg"}, "ward1/a.jpg", 0, Spelling::encoding},
      {"Label Studio's local files",
       {"/data/local-files/?d=ward1%2Fa.jpg", "ward2/a.jpg"},
       "w/ward1/a.jpg",
       0,
       Spelling::encoding},
      {"another form of the image", {"a.png", "b.png"}, "x/a.jpg", 0, Spelling::extension},
      {"the same form first", {"a.png", "a.jpg"}, "x/a.jpg", 1, Spelling::exact},
      {"double extension", {"S1.svs", "S2.svs"}, "S1.ome.tif", 0, Spelling::extension},
      {"double extension, svs", {"S1.svs"}, "S1.svs.tif", 0, Spelling::extension},
      {"stem alone", {"S1"}, "S1.ome.tiff", 0, Spelling::extension},
      {"Label Studio", {"upload/1/1a2b3c4d-img1.jpg"}, "x/img1.jpg", 0, Spelling::renamed},
      {"Roboflow", {"img1_jpg.rf.0123456789abcdef0123456789abcdef.jpg"}, "x/img1.jpg", 0, Spelling::renamed},
      {"folder by case", {"x/Ward1/a.jpg", "x/ward2/a.jpg"}, "y/ward1/a.jpg", 0, Spelling::letter_case},
  };
  for (const Row& row : rows) {
    const PathIndex index(row.names);
    const PathIndex::Match m = index.find(row.path);
    EXPECT_THAT(m.names, ElementsAre(row.name)) << row.what;
    EXPECT_EQ(m.spelling, row.spelling) << row.what;
  }
  EXPECT_THAT(found({"a.v1.jpg"}, "a.v2.jpg"), IsEmpty()) << "only extensions of images are cut";
  EXPECT_THAT(found({"20240115-1.jpg"}, "20240117-1.jpg"), IsEmpty()) << "a date is not a mark";
  EXPECT_THAT(found({"1_jpg.rf.0123456789abcdef0123456789abcdef.jpg"}, "1_jpg.rf.0123456789abcdef0123456789abcd00.jpg"),
              IsEmpty());
  EXPECT_THAT(found({"IMG.jpg", "Img.jpg"}, "img.jpg"), ElementsAre(0, 1));
}

TEST(PathIndex, NamesWithoutComponentsMatchNothing) {
  const Names names{"", "/", "..", "a.jpg"};
  for (const char* path : {"", "/", "..", ".", "\\"}) EXPECT_THAT(found(names, path), IsEmpty()) << path;
  EXPECT_THAT(found(names, "../a.jpg"), ElementsAre(3));
  EXPECT_THAT(found({}, "a.jpg"), IsEmpty());
}

TEST(PathAssignment, ImagesOfOneNameInFoldersAreDistinguished) {
  const PathAssignment a =
      assigned({"ward1/img1.jpg", "ward2/img1.jpg"}, {"data/ward2/img1.jpg", "data/ward1/img1.jpg", "data/ward2/new.jpg"});
  EXPECT_THAT(a.name_of, ElementsAre(1, 0, -1));
  EXPECT_THAT(a.warnings, IsEmpty());
}

TEST(PathAssignment, TwoFilesForOneNameAreAnErrorThatNamesBoth) {
  EXPECT_THAT(error_of([] {
                assigned({"img1.jpg"}, {"a/img1.jpg", "b/img1.jpg"});
              }),
              AllOf(HasSubstr("truth.json: a/img1.jpg and b/img1.jpg both match one image of the ground truth, img1.jpg")));
  EXPECT_THAT(error_of([] {
                assigned({"train/img1.jpg"}, {"a/img1.jpg", "b/img1.jpg"});
              }),
              HasSubstr("a/img1.jpg and b/img1.jpg"));
  const PathAssignment better = assigned({"w1/a.jpg", "B.jpg"}, {"x/w3/a.jpg", "x/w1/a.jpg", "y/b.jpg", "x/B.jpg"});
  EXPECT_THAT(better.name_of, ElementsAre(-1, 0, -1, 1)) << "the better match has it";
  EXPECT_THAT(better.warnings, ElementsAre(HasSubstr("2 images left unmatched: x/w3/a.jpg is not taken for w1/a.jpg")));
}

TEST(PathAssignment, AmbiguityIsAnErrorThatListsTheCandidates) {
  EXPECT_THAT(error_of([] {
                assigned({"w1/a.jpg", "w2/a.jpg", "w4/a.jpg", "w5/a.jpg"}, {"x/w3/a.jpg"});
              }),
              AllOf(HasSubstr("x/w3/a.jpg may be any of 4 names: w1/a.jpg, w2/a.jpg, w4/a.jpg, ...")));
  EXPECT_THAT(assigned({"w1/a.jpg", "w2/a.jpg"}, {"x/w1/a.jpg", "x/w2/a.jpg", "x/w3/a.jpg"}).name_of, ElementsAre(0, 1, -1))
      << "those that it could be are others";
  EXPECT_THAT(error_of([] { assigned({"a.jpg", "a.jpg"}, {"x/a.jpg"}); }), HasSubstr("may be any of 2"));
}

TEST(PathAssignment, LooserMatchesAreCountedInWarnings) {
  const PathAssignment a = assigned({"IMG1.JPG", "IMG2.JPG", "c.png", "w1/d.jpg"}, {"img1.jpg", "img2.jpg", "c.jpg", "w9/d.jpg"});
  EXPECT_THAT(a.name_of, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(a.warnings, ElementsAre("2 images matched but for upper and lower case: img1.jpg is taken for IMG1.JPG, ...",
                                      "1 image matched but for the extension: c.jpg is taken for c.png",
                                      "1 image matched by name although folders differ: w9/d.jpg is taken for w1/d.jpg"));
}

// The rule in words, name by name: at the nearest spelling at which the best candidate is whole or as long as any can be.
// Candidates agree in the longest suffix at the loosest spelling, or are shorter and whole there.
struct Reference {
  static Names parts(std::string path, Spelling spelling) {
    if (spelling >= Spelling::letter_case)
      for (char& c : path) c = static_cast<char>(std::tolower(c));
    if (spelling >= Spelling::encoding)
      for (size_t at; (at = path.find("%20")) != path.npos;) path.replace(at, 3, " ");
    Names reversed{""};
    for (const char c : path)
      if (c == '/' || c == '\\')
        reversed.insert(reversed.begin(), "");
      else
        reversed[0] += c;
    if (spelling >= Spelling::extension)
      for (const char* extension : {".jpg", ".png"})
        if (reversed[0].ends_with(extension)) reversed[0].resize(reversed[0].size() - 4);
    return reversed;
  }
  static size_t common(const Names& a, const Names& b) {
    size_t n = 0;
    while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
    return n;
  }
  static std::vector<int> find(const Names& names, const std::string& path) {
    const Names loose = parts(path, Spelling::renamed);
    size_t longest = 0;
    for (const std::string& n : names) longest = std::max(longest, common(parts(n, Spelling::renamed), loose));
    for (int s = 0; longest > 0 && s <= static_cast<int>(Spelling::renamed); ++s) {
      const auto spelling = static_cast<Spelling>(s);
      const Names wanted = parts(path, spelling);
      std::vector<int> best;
      std::pair<size_t, int> most{1, 0};
      for (size_t i = 0; i < names.size(); ++i) {
        const Names all = parts(names[i], Spelling::renamed);
        if (const size_t n = common(all, loose); n < longest && n < all.size()) continue;
        const Names own = parts(names[i], spelling);
        const size_t n = common(own, wanted);
        const std::pair<size_t, int> mine{n, (n == own.size()) + (n == wanted.size())};
        if (mine < most) continue;
        if (mine > most) best.clear();
        most = mine;
        best.push_back(static_cast<int>(i));
      }
      if (!best.empty() && (most.second > 0 || most.first == longest)) return best;
    }
    return {};
  }
};

TEST(PathIndex, AgreesWithASlowReferenceOnRandomNames) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const Names folders{"a", "A", "b", "a b", "a%20b"}, files{"i.jpg", "I.jpg", "i.png", "i", "j k.jpg", "j%20k.JPG"};
  const auto path = [&] {
    std::string p;
    for (int n = below(4); n > 0; --n) p += folders[static_cast<size_t>(below(5))] + (below(2) ? "/" : "\\");
    return p + files[static_cast<size_t>(below(6))];
  };
  int unique = 0, several = 0;
  for (int round = 0; round < 3000; ++round) {
    Names names;
    for (int n = 1 + below(12); n > 0; --n) names.push_back(path());
    const PathIndex index(names);
    for (int q = 0; q < 8; ++q) {
      const std::string wanted = path();
      const std::vector<int> expected = Reference::find(names, wanted);
      ASSERT_EQ(index.find(wanted).names, expected) << ::testing::PrintToString(names) << " " << wanted;
      unique += expected.size() == 1;
      several += expected.size() > 1;
    }
  }
  EXPECT_GT(unique, 5000);
  EXPECT_GT(several, 1000);
}

TEST(PathIndex, AMillionNamesTakeSeconds) {
  constexpr int kNames = 1'000'000;
  const CpuClock clock;
  Names names, paths;
  for (int i = 0; i < kNames; ++i) {
    names.push_back("ward" + std::to_string(i % 1000) + "/img" + std::to_string(i / 2) + ".jpg");
    paths.push_back("/data/" + names.back());
  }
  const PathAssignment a = assigned(names, paths);
  for (int i = 0; i < kNames; i += 9973) EXPECT_EQ(a.name_of[static_cast<size_t>(i)], i);
  EXPECT_LT(clock.seconds(), 60) << "5 s when it was written";
  const Names crowd = [] {
    Names n;
    for (int i = 0; i < 200'000; ++i) n.push_back("ward" + std::to_string(i) + "/img.jpg");
    return n;
  }();
  const PathIndex index(crowd);
  EXPECT_THAT(index.find("/data/ward77/img.jpg").names, ElementsAre(77));
  for (int i = 0; i < 1000; ++i) EXPECT_GT(index.find("/data/none/img.jpg").names.size(), 1u);
  EXPECT_LT(clock.seconds(), 120);
}

}  // namespace
}  // namespace cytodet
