#pragma once

#include <filesystem>
#include <string>

#include "lowbit/base/export.h"
#include "lowbit/experiment/results.h"

namespace lowbit LOWBIT_EXPORT {

/// The table for a terminal: a row a (model, calibration, recipe), a column a test. `color` marks failed cells.
[[nodiscard]] std::string terminal_table(const Results& results, bool color);
/// The whole report in Markdown.
[[nodiscard]] std::string markdown_report(const Results& results);

}  // namespace lowbit
