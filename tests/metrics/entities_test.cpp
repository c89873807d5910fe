#include "metrics/entities.h"

#include <gtest/gtest.h>

namespace lowbit {
namespace {

TEST(Entities, AreNamesByTypeInLowerCase) {
  const Entities expected = {{"person", {"ann lee", "bob"}}, {"location", {}}, {"group", {"née"}}};
  EXPECT_EQ(parse_entities(" Person: Ann Lee,  bob , BOB || location: None||group:NÉE, || no colon"), expected);
  EXPECT_EQ(parse_entities(""), Entities());
}

TEST(EntityF1, IsTheMeanOverTypes) {
  const std::string reference = "person: Ann, Bob || location: Rome || product: None";
  // person: 1 of 2 given is right, of 2 there: 2 * 1 / 4; location: nothing given; product: one too much.
  const EntityCounts one = entity_counts("person: Ann, Eve || product: Car || animal: Cat", reference);
  EXPECT_DOUBLE_EQ(entity_f1(one), (0.5 + 0 + 0) / 3);
  EntityCounts all = one;
  all += entity_counts("location: Rome || product: None", reference);
  // person: 2 * 1 / (2 + 4); location: 2 * 1 / (1 + 2); product: 0 / (1 + 0).
  EXPECT_DOUBLE_EQ(entity_f1(all), (1.0 / 3 + 2.0 / 3 + 0) / 3);
  all -= one;
  // The product is neither given nor there: it is left out.
  EXPECT_DOUBLE_EQ(entity_f1(all), (0 + 1.0) / 2);
}

TEST(EntityF1, OfOneAnswerIsOverAllItsNames) {
  const std::string reference = "person: Ann, Bob || location: Rome";
  EXPECT_DOUBLE_EQ(entity_f1(reference, reference), 1);
  // Three given, three there, two both; a name under a type that the reference lacks counts as given.
  EXPECT_DOUBLE_EQ(entity_f1("person: Ann || location: Rome || animal: Cat", reference), 2.0 * 2 / 6);
  EXPECT_DOUBLE_EQ(entity_f1("location: Ann", reference), 0);
  EXPECT_DOUBLE_EQ(entity_f1("I do not know", "person: None"), 1);
  EXPECT_DOUBLE_EQ(entity_f1("I do not know", reference), 0);
}

}  // namespace
}  // namespace lowbit
