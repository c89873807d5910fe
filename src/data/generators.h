#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/rows.h"

namespace lowbit {

/// Rules that make rows whose answers are known, for machines without datasets:
///   arithmetic      sums and differences of two numbers: question, choices (the answer first), answer
///   recall          a list of names and numbers, one of which is asked for: pairs, name, choices (the answer first)
///   agreement       a sentence whose verb agrees with its subject, and the same one with the other form: good, bad
[[nodiscard]] std::vector<std::string> generator_names();

/// Rows 0 .. count-1 of a split; each is a function of rule, split and number alone. Splits have streams of their own;
/// a row may come again.
[[nodiscard]] std::vector<Row> generate_rows(const std::string& rule, const std::string& split, std::int64_t count);

}  // namespace lowbit
