// YAML as experiments and definitions write it: the tree, the way back to a text, sweeps, overrides, and the
// definitions that can be decoded without a model.
#include "fuzz/fuzz.h"
#include "lowbit/calibration/calibration_set.h"
#include "lowbit/config/node.h"
#include "lowbit/data/dataset.h"
#include "lowbit/experiment/experiment.h"
#include "support/test_data.h"

namespace lowbit::fuzzing {
namespace {

void read_definition(std::string_view input) {
  static const testing::TemporaryFolder folder;
  static const std::filesystem::path link = folder / "x.yaml";
  const InputFile file(input);
  std::filesystem::remove(link);
  std::filesystem::create_symlink(file.path(), link);
  try {
    (void)DatasetCatalog({}, {}).find(link.string());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kConfig) throw;
  }
}

void read(std::string_view input) {
  const ConfigNode node = ConfigNode::parse(input, "x.yaml");
  if (ConfigNode::parse(node.to_yaml(), "written") != node) report("a tree that was written is read differently");
  read_definition(input);
  ConfigProblems problems;
  for (const auto& [label, point] : expand_sweeps(node, problems)) (void)decode_calibration(point, problems);
  try {
    problems.throw_if_any();
  } catch (const Error&) {
  }
  const auto [path, value] = parse_override(input);
  (void)node.with(path, value);
}

std::vector<std::string> seeds() {
  return {golden("../../configs/quickstart.yaml"),
          golden("../../datasets/wikitext2.yaml"),
          "recipes.gptq.0.gptq.bits=4",
          "{dataset: a, samples: {sweep: [1, 2]}, length: {sweep: [3, 4]}}",
          "{mix: [{dataset: a, weight: 0.5}, {dataset: b}], name: x}",
          "a: &x [1, 'two', \"\\u00e9\", ~]\nb: *x\nc: |\n  text\n"};
}

}  // namespace

const Target& target() {
  static const Target result = {
      .read = read,
      .seeds = seeds,
      .words = {"&x ", "*x", "<<: ", "? ", ": ", "- ", "!!str ", "{sweep: [1, 2]}", "|\n ", ">-\n  ", "---\n",
                "%YAML 1.2\n", "\"\\x00\"", "'", "\t", "#", "~", "*x, *x, *x, *x"},
      .codes = {ErrorCode::kConfig},
      .memory = std::size_t{8} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
