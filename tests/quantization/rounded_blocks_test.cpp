// Blocks whose weights are only rounded: each thread takes whole ones.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "lowbit/base/files.h"
#include "lowbit/base/work_folder.h"
#include "lowbit/quantization/driver.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/small_run.h"

namespace lowbit {
namespace {

using testing::SmallRun;

// The model's files, but not the record of its making, which holds times.
std::map<std::string, std::string> files_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files[entry.path().filename().string()] = read_file(entry.path());
  }
  return files;
}

TEST(RoundedBlocks, AreTheSameForAnyNumberOfThreads) {
  const SmallRun run;
  const char* const recipes[] = {
      "[{rtn: {bits: 4, group: 16}}]",
      "[{rtn: {bits: 3, group: 8, clip: mse}}]",
      "[{rtn: {bits: 8, group: -1, symmetry: sym_restricted}}]",
      "[{hqq: {bits: 4, group: 16}}]",
      "[{head: {bits: 8, group: 16}}, {rtn: {bits: 4, group: 16}}]",
  };
  int number = 0;
  for (const char* const recipe : recipes) {
    const std::string name = std::to_string(number++);
    set_thread_count(1);
    const QuantizeReport alone = run.quantize(recipe, name + "-one");
    set_thread_count(4);
    const QuantizeReport together = run.quantize(recipe, name + "-four");
    set_thread_count(1);
    EXPECT_EQ(files_of(run.path(name + "-four")), files_of(run.path(name + "-one"))) << recipe;
    ASSERT_EQ(together.layers.size(), alone.layers.size());
    for (std::size_t i = 0; i < alone.layers.size(); ++i) {
      EXPECT_EQ(together.layers[i].layer, alone.layers[i].layer);
      EXPECT_EQ(together.layers[i].weight_error, alone.layers[i].weight_error);
    }
  }
}

TEST(RoundedBlocks, ThatAnInterruptedRunLeftAreKeptWhereverTheyStand) {
  const SmallRun run;
  const char* const recipe = "[{rtn: {bits: 4, group: 16}}]";
  (void)run.quantize(recipe, "whole");
  (void)run.quantize(recipe, "cut");
  const std::filesystem::path record = run.path("cut") / "lowbit.json";
  std::string text = read_file(record);
  const std::string finished = "\"finished\": true";
  ASSERT_NE(text.find(finished), std::string::npos);
  write_file_atomically(record, text.replace(text.find(finished), finished.size(), "\"finished\": false"));
  std::filesystem::remove(run.path("cut") / "model-00001-of-00003.safetensors");
  EXPECT_EQ(run.quantize(recipe, "cut").resumed_blocks, 1);
  EXPECT_EQ(files_of(run.path("cut")), files_of(run.path("whole")));
}

TEST(RoundedBlocks, ReportTheSizeThatAReaderFinds) {
  const SmallRun run;
  for (const char* const recipe : {"[{rtn: {bits: 4, group: 16}}]", "[{rtn: {bits: 3, group: -1}}]"}) {
    const StoredSize said = run.quantize(recipe, recipe).size;
    const StoredSize found = stored_size(*run.artifact(recipe));
    EXPECT_EQ(said.bits_per_quantized_weight, found.bits_per_quantized_weight);
    EXPECT_EQ(said.quantized_weights, found.quantized_weights);
    EXPECT_EQ(said.file_bytes, found.file_bytes);
  }
}

}  // namespace
}  // namespace lowbit
