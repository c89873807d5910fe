#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/quantization/recipe.h"

namespace lowbit {

/// Makes a recipe out of its YAML; problems are gathered, not thrown.
class RecipeDecoder {
 public:
  RecipeDecoder(const QuantizationRegistries& registries, ConfigProblems& problems)
      : registries_(registries), problems_(problems) {}
  [[nodiscard]] std::shared_ptr<const Recipe> decode(const std::string& name, const ConfigNode& node);

 private:
  // One step's map taken apart.
  struct Step {
    std::string name;
    SourceMark mark;
    ConfigNode options;
    const ConfigNode* layers = nullptr;
    const ConfigNode* except = nullptr;
    const ConfigNode* overrides = nullptr;
  };
  [[nodiscard]] bool take_apart(const ConfigNode& node, Step& step);
  void decode_step(const Step& step);
  void decode_driver(const Step& step);
  void decode_solver(const Step& step);
  void decode_override(const Step& step, const ConfigNode& node, Recipe::SolverRule& rule,
                       std::vector<ConfigNode>& echo);
  void decode_execution(const Step& step);
  void check_order(const Step& step, int rank);
  // Reported at the end when no solver has come.
  void need_solver(const Step& step, std::string_view why);
  void note_origin(const ModuleOrigin& origin);
  void refuse_layer_keys(const Step& step, std::string_view family);
  [[nodiscard]] LayerPatterns decode_patterns(const ConfigNode* layers, const ConfigNode* except);
  void decode_pattern_list(const ConfigNode* node, std::string_view key,
                           std::vector<std::pair<std::string, SourceMark>>& out);
  [[nodiscard]] std::vector<std::string> known_steps() const;
  void echo_step(const Step& step, ConfigNode options, std::vector<ConfigNode::Entry> more, int version);
  template <typename Interface>
  [[nodiscard]] std::unique_ptr<Interface> make(const Registry<Interface>& registry, const Step& step);

  template <typename Interface>
  void note_step(const Registry<Interface>& registry, const Step& step, const Interface& made,
                 const LayerPatterns* patterns);

  const QuantizationRegistries& registries_;
  ConfigProblems& problems_;
  std::shared_ptr<Recipe> recipe_;
  std::vector<ConfigNode> echo_;
  int last_rank_ = 0;
  std::string last_step_;
  std::vector<std::pair<SourceMark, std::string>> solver_wanted_;
  bool has_solver_ = false;  ///< one was named, be it right or wrong
  bool has_driver_ = false;
  SourceMark driver_mark_;
};

}  // namespace lowbit
