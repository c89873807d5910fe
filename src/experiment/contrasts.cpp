#include "experiment/contrasts.h"

#include <algorithm>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

class ContrastDecoder {
 public:
  ContrastDecoder(const Experiment& experiment, ConfigProblems& problems)
      : experiment_(experiment), problems_(problems) {
    recipes_ = {Experiment::kBaseline};
    for (const RecipeEntry& entry : experiment.recipes) recipes_.push_back(entry.name);
    for (const CalibrationOptions& options : experiment.calibrations) calibrations_.push_back(options.name);
  }

  Contrast decode(const ConfigNode& item) {
    Contrast contrast;
    decode_fields(item, contrast, problems_);
    const int kinds = !contrast.recipes.empty() + !contrast.calibrations.empty() + !contrast.tests.is_null();
    if (kinds != 1) {
      problems_.add(item.mark(),
                    "a contrast is of 'recipes', of 'calibrations' or of 'same_distribution'; give one of them");
    } else if (contrast.tests.is_null() && contrast.recipes.size() + contrast.calibrations.size() < 2) {
      problems_.add(item.mark(), fmt::format("a contrast needs at least two {}",
                                             contrast.recipes.empty() ? "calibration sets" : "recipes"));
    }
    check(item, "recipe", contrast.recipes, recipes_);
    check(item, "calibration set", contrast.calibrations, calibrations_);
    if (!contrast.tests.is_null()) contrast.same_distribution = own_tests(contrast.tests);
    return contrast;
  }

 private:
  void check(const ConfigNode& item, std::string_view what, const std::vector<std::string>& contrasted,
             const std::vector<std::string>& known) {
    for (const std::string& name : contrasted) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      problems_.add(item.mark(),
                    fmt::format("a contrast names the unknown {} '{}'{}", what, name, suggestion(name, known)));
    }
  }

  std::vector<OwnTests> own_tests(const ConfigNode& sets) {
    std::vector<OwnTests> list;
    if (!sets.is_map() || sets.entries().size() < 2) {
      problems_.add(sets.mark(),
                    "'same_distribution' must map at least two calibration sets to lists of evaluations, such as "
                    "{dictionary: [wordnet], questions: [piqa]}");
      return list;
    }
    for (const ConfigNode::Entry& entry : sets.entries()) {
      check(entry.key, "calibration set", {entry.key.text()}, calibrations_);
      OwnTests& own = list.emplace_back(OwnTests{entry.key.text(), {}});
      if (!entry.value.is_sequence() || entry.value.items().empty()) {
        problems_.add(entry.value.mark(), fmt::format("'{}' needs a list of evaluations", own.calibration));
        continue;
      }
      for (const ConfigNode& test : entry.value.items()) add_tests(test, own);
    }
    return list;
  }

  // A test is named by its label, or by its dataset together with all others on it.
  void add_tests(const ConfigNode& test, OwnTests& own) {
    const std::string name = test.is_scalar() ? test.text() : "";
    const std::size_t before = own.evaluations.size();
    std::vector<std::string> known;
    for (const EvaluationEntry& entry : experiment_.evaluations) {
      const std::string label = entry.evaluation->label();
      const std::vector<std::string> datasets = entry.evaluation->datasets();
      known.push_back(label);
      known.insert(known.end(), datasets.begin(), datasets.end());
      const bool is_named = name == label || std::find(datasets.begin(), datasets.end(), name) != datasets.end();
      if (is_named) own.evaluations.push_back(label);
    }
    if (own.evaluations.size() > before) return;
    problems_.add(test.mark(), fmt::format("'{}' is neither the label of an evaluation nor the dataset of one{}", name,
                                           suggestion(name, known)));
  }

  const Experiment& experiment_;
  ConfigProblems& problems_;
  std::vector<std::string> recipes_, calibrations_;
};

}  // namespace

void Contrast::visit(FieldVisitor& v) {
  v.field("recipes", recipes, "names of recipes, or 'float'; every pair is compared");
  v.field("calibrations", calibrations, "names of calibration sets; every pair is compared under each recipe");
  v.field("same_distribution", tests,
          "calibration set -> evaluations (labels or datasets) of its own kind of data; on each of them it is compared "
          "with the other sets");
  v.field("margin", margin, "difference that counts as none, for the verdict 'equivalent'; 0 leaves that out",
          {0.0, 1e9});
  v.choice("correction", correction, {"holm", "benjamini-hochberg"},
           "what is kept below 5 %: the probability of any false 'different', or their expected share");
}

std::vector<Contrast> decode_contrasts(const ConfigNode& list, const Experiment& experiment, ConfigProblems& problems) {
  ContrastDecoder decoder(experiment, problems);
  std::vector<Contrast> contrasts;
  for (const ConfigNode& item : list.items()) contrasts.push_back(decoder.decode(item));
  return contrasts;
}

}  // namespace lowbit
