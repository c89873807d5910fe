#include "data/generators.h"

#include <gmock/gmock.h>

#include <set>
#include <sstream>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

TEST(Generators, GiveTheSameRowsEachTime) {
  for (const std::string& rule : generator_names()) {
    const std::vector<Row> rows = generate_rows(rule, "test", 20);
    const std::vector<Row> more = generate_rows(rule, "test", 40);
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].columns, more[i].columns) << rule;
    EXPECT_NE(rows[0].columns, generate_rows(rule, "train", 1)[0].columns) << rule;
  }
}

TEST(Generators, KnowTheAnswersOfSums) {
  for (const Row& row : generate_rows("arithmetic", "test", 200)) {
    std::istringstream question(row.columns["question"].get<std::string>());
    std::int64_t a = 0, b = 0;
    std::string sign;
    question >> a >> sign >> b;
    const std::int64_t answer = sign == "plus" ? a + b : a - b;
    const auto choices = row.columns["choices"].get<std::vector<std::string>>();
    EXPECT_EQ(choices[0], std::to_string(answer)) << row.columns.dump();
    EXPECT_EQ(std::set<std::string>(choices.begin(), choices.end()).size(), 4U);
    for (const std::string& choice : choices) EXPECT_GT(std::stoll(choice), 0) << row.columns.dump();
  }
}

TEST(Generators, AskForANumberOfTheList) {
  for (const Row& row : generate_rows("recall", "test", 100)) {
    std::set<std::string> names, numbers;
    std::string expected;
    for (const Json& pair : row.columns["pairs"]) {
      names.insert(pair["name"].get<std::string>());
      numbers.insert(pair["number"].get<std::string>());
      if (pair["name"] == row.columns["name"]) expected = pair["number"].get<std::string>();
    }
    EXPECT_EQ(names.size(), 6U);
    EXPECT_EQ(numbers.size(), 6U);
    EXPECT_EQ(row.columns["choices"][0].get<std::string>(), expected);
    EXPECT_EQ(row.columns["choices"].size(), 6U);
  }
}

TEST(Generators, PairSentencesThatDifferInTheVerb) {
  for (const Row& row : generate_rows("agreement", "test", 100)) {
    const auto good = row.columns["good"].get<std::string>();
    const auto bad = row.columns["bad"].get<std::string>();
    EXPECT_NE(good, bad);

    EXPECT_EQ(good.substr(0, good.find(" the ")), bad.substr(0, bad.find(" the ")));
  }
}

}  // namespace
}  // namespace lowbit
