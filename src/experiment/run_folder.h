#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "lowbit/experiment/plan.h"

namespace lowbit {

// Files of a run's folder.
inline constexpr const char* kResolvedConfig = "config.yaml";
inline constexpr const char* kPlanFile = "plan.json";
/// Of the float stream, while the run goes on.
inline constexpr const char* kStatisticsFolder = "statistics";
inline constexpr const char* kResultsFile = "results.json";

void write_plan(const std::filesystem::path& file, const Plan& plan);
/// Throws `kData`.
[[nodiscard]] Plan read_plan(const std::filesystem::path& file);

/// Why a piece of work failed, as its process left it in the store.
struct Failure {
  int exit_code = 70;
  std::string message;
};
void write_failure(const std::filesystem::path& file, const Failure& failure);
[[nodiscard]] std::optional<Failure> read_failure(const std::filesystem::path& file);

}  // namespace lowbit
