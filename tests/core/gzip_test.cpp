#include "core/gzip.h"

#include <gmock/gmock.h>

#include "tests/error_of.h"
#include "tests/gzipped.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kEnough = int64_t{1} << 30;

TEST(Gzip, TextComesBack) {
  std::string large;
  for (int i = 0; i < 50000; ++i) large += std::to_string(i * 7919 % 10007) + ",";
  for (const std::string& text : {std::string(), std::string("a"), large}) {
    EXPECT_TRUE(is_gzip(gzipped(text)));
    EXPECT_EQ(gunzip(gzipped(text), "x.gz", kEnough), text);
  }
  EXPECT_EQ(gunzip(gzipped("one ") + gzipped("") + gzipped(large), "x.gz", kEnough), "one " + large)
      << "members follow each other";
  EXPECT_FALSE(is_gzip("{}"));
  EXPECT_FALSE(is_gzip("\x1f"));
}

TEST(Gzip, TheLimitIsOfWhatIsUnpacked) {
  const std::string bomb = gzipped(std::string(size_t{64} << 20, ' '));
  ASSERT_LT(bomb.size(), size_t{1} << 17);
  EXPECT_EQ(gunzip(bomb, "x.gz", int64_t{64} << 20).size(), size_t{64} << 20);
  EXPECT_THAT(error_of([&] { gunzip(bomb, "x.gz", (int64_t{64} << 20) - 1); }),
              HasSubstr("x.gz: unpacks to more than the limit of 67108863 bytes"));
  EXPECT_THAT(error_of([&] { gunzip(bomb + bomb, "x.gz", int64_t{64} << 20); }), HasSubstr("more than the limit"));
}

TEST(Gzip, DamageIsNamed) {
  const auto refused = [](const std::string& bytes) { return error_of([&] { gunzip(bytes, "x.gz", kEnough); }); };
  const std::string whole = gzipped("the text of a file, the text of a file");
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_THAT(refused(whole.substr(0, n)), HasSubstr("x.gz: damaged gzip: it breaks off")) << n;
  EXPECT_THAT(refused(whole + "more"), HasSubstr("damaged gzip: incorrect header check"));
  std::string other = whole;
  other[whole.size() - 6] ^= 1;
  EXPECT_THAT(refused(other), HasSubstr("damaged gzip: incorrect data check"));
  EXPECT_THAT(refused("text"), HasSubstr("damaged gzip"));
}

}  // namespace
}  // namespace cytodet
