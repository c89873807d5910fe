#include "data/python_random.h"

#include <gmock/gmock.h>

namespace lowbit {
namespace {

using ::testing::ElementsAre;

// Numbers of CPython 3.11: random.Random(seed), then sample(range(population), count) twice.
TEST(PythonRandom, DrawsAsPythonDoes) {
  PythonRandom few(1234);
  EXPECT_THAT(few.sample(100, 5), ElementsAre(99, 56, 14, 0, 11));
  EXPECT_THAT(few.sample(100, 5), ElementsAre(74, 4, 85, 88, 10));
  PythonRandom pool(1234);
  EXPECT_THAT(pool.sample(22, 6), ElementsAre(14, 3, 0, 2, 1, 18));
  EXPECT_THAT(pool.sample(22, 6), ElementsAre(3, 11, 7, 0, 18, 17));
  PythonRandom all(0);
  EXPECT_THAT(all.sample(7, 7), ElementsAre(6, 3, 5, 0, 1, 2, 4));
  PythonRandom many(42);
  EXPECT_THAT(many.sample(3000, 10), ElementsAre(2619, 456, 102, 1126, 1003, 914, 571, 419, 2771, 2233));
}

TEST(PythonRandom, TakesSeedsOfMoreThan32Bits) {
  PythonRandom random((std::uint64_t{1} << 33) + 5);
  EXPECT_THAT(random.sample(50, 4), ElementsAre(47, 18, 46, 10));
  EXPECT_THAT(random.sample(50, 4), ElementsAre(36, 32, 20, 49));
}

}  // namespace
}  // namespace lowbit
