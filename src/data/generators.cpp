#include "data/generators.h"

#include <algorithm>
#include <array>
#include <string>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

/// Draws for one row, one after the other.
class Draws {
 public:
  explicit Draws(const Random& random) : random_(random) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_.below(counter_++, static_cast<std::uint64_t>(high - low + 1)));
  }
  template <typename List>
  std::string one_of(const List& list) {
    return std::string(list[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(list.size()) - 1))]);
  }

 private:
  Random random_;
  std::uint64_t counter_ = 0;
};

/// The answer, then one, ten and nine more or less.
Json near_numbers(std::int64_t answer, Draws& draws) {
  const std::int64_t sign = draws.between(0, 1) == 0 ? 1 : -1;
  std::vector<std::int64_t> numbers = {answer};
  for (const std::int64_t offset : {sign, 10 * sign, 9 * sign}) numbers.push_back(answer + offset);
  Json texts = Json::array();
  for (const std::int64_t number : numbers) texts.push_back(std::to_string(number));
  return texts;
}

Json arithmetic(Draws& draws) {
  const bool plus = draws.between(0, 1) == 0;
  const std::int64_t a = draws.between(20, 99);
  const std::int64_t b = draws.between(2, plus ? 99 : a - 12);
  const std::int64_t answer = plus ? a + b : a - b;
  return {{"question", std::to_string(a) + (plus ? " plus " : " minus ") + std::to_string(b)},
          {"answer", std::to_string(answer)},
          {"choices", near_numbers(answer, draws)}};
}

constexpr std::array<std::string_view, 12> kNames = {"Ada",  "Ben",  "Cleo", "Dora", "Emil", "Finn",
                                                     "Gina", "Hugo", "Iris", "Jack", "Kate", "Leo"};

Json recall(Draws& draws) {
  std::vector<std::string_view> names(kNames.begin(), kNames.end());
  Json pairs = Json::array();
  Json numbers = Json::array();
  for (std::int64_t i = 0; i < 6; ++i) {
    const auto at = static_cast<std::size_t>(draws.between(i, static_cast<std::int64_t>(names.size()) - 1));
    std::swap(names[static_cast<std::size_t>(i)], names[at]);
    // Different by their first digit, so that no two rows' numbers are alike.
    numbers.push_back(std::to_string((i + 2) * 1000 + draws.between(0, 999)));
    pairs.push_back({{"name", std::string(names[static_cast<std::size_t>(i)])}, {"number", numbers.back()}});
  }
  const auto asked = static_cast<std::size_t>(draws.between(0, 5));
  Json choices = Json::array({numbers[asked]});
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i != asked) choices.push_back(numbers[i]);
  }
  return {{"pairs", pairs}, {"name", pairs[asked]["name"]}, {"choices", choices}};
}

struct Forms {
  std::string_view one, many;
};
constexpr std::array<Forms, 10> kNouns = {{{"cat", "cats"},
                                           {"teacher", "teachers"},
                                           {"child", "children"},
                                           {"farmer", "farmers"},
                                           {"bird", "birds"},
                                           {"woman", "women"},
                                           {"doctor", "doctors"},
                                           {"dog", "dogs"},
                                           {"student", "students"},
                                           {"horse", "horses"}}};
constexpr std::array<Forms, 8> kVerbs = {{{"sleeps", "sleep"},
                                          {"is tired", "are tired"},
                                          {"waits", "wait"},
                                          {"has gone home", "have gone home"},
                                          {"looks happy", "look happy"},
                                          {"was here before", "were here before"},
                                          {"knows the way", "know the way"},
                                          {"does not move", "do not move"}}};
constexpr std::array<std::string_view, 5> kPlaces = {"near", "behind", "in front of", "beside", "across from"};

/// "The cats near the dog sleep." and "The cats near the dog sleeps.": the nearer noun has the other number.
Json agreement(Draws& draws) {
  const auto& subject = kNouns[static_cast<std::size_t>(draws.between(0, 9))];
  const auto& other = kNouns[static_cast<std::size_t>(draws.between(0, 9))];
  const auto& verb = kVerbs[static_cast<std::size_t>(draws.between(0, 7))];
  const bool many = draws.between(0, 1) == 1;
  const std::string start = fmt::format("The {} {} the {} ", many ? subject.many : subject.one, draws.one_of(kPlaces),
                                        many ? other.one : other.many);
  return {{"good", start + std::string(many ? verb.many : verb.one) + "."},
          {"bad", start + std::string(many ? verb.one : verb.many) + "."}};
}

struct Rule {
  const char* name;
  Json (*make)(Draws&);
};
constexpr Rule kRules[] = {{"arithmetic", arithmetic}, {"recall", recall}, {"agreement", agreement}};

}  // namespace

std::vector<std::string> generator_names() {
  std::vector<std::string> names;
  for (const Rule& rule : kRules) names.emplace_back(rule.name);
  return names;
}

std::vector<Row> generate_rows(const std::string& rule, const std::string& split, std::int64_t count) {
  const auto found = std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& r) { return rule == r.name; });
  LOWBIT_ASSERT(found != std::end(kRules));
  const Random random(0, fmt::format("dataset/{}/{}", rule, split));
  std::vector<Row> rows;
  for (std::int64_t i = 0; i < count; ++i) {
    Draws draws(random.child(std::to_string(i)));
    rows.push_back(
        {.columns = found->make(draws), .where = fmt::format("{} {}:{}", rule, split, i), .group = {}, .number = i});
  }
  return rows;
}

}  // namespace lowbit
