#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "lowbit/base/export.h"
#include "lowbit/experiment/results.h"

namespace lowbit LOWBIT_EXPORT {

/// The table for a terminal: a row a (model, calibration, recipe), a column a test. `color` marks failed cells.
[[nodiscard]] std::string terminal_table(const Results& results, bool color);
/// The whole report in Markdown.
[[nodiscard]] std::string markdown_report(const Results& results);
/// In the shape of the results files of EleutherAI's lm-evaluation-harness: file name -> JSON, a file for each
/// quantized model and the float one.
[[nodiscard]] std::map<std::string, std::string> lm_eval_results(const Results& results);

}  // namespace lowbit
