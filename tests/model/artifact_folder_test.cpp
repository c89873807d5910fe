#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"
#include "lowbit/model/artifact.h"
#include "model/artifact_source.h"
#include "model/small_model.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;
using testing::NoTokenizer;
using testing::SmallModel;

// A model whose architecture a transform has changed, beside the config of the one it was.
class Changed : public SmallModel {
 public:
  Changed(std::filesystem::path folder, const std::function<void(Architecture&)>& change)
      : SmallModel(std::move(folder)), changed_(SmallModel::architecture()) {
    change(changed_);
  }
  const Architecture& architecture() const override { return changed_; }

 private:
  Architecture changed_;
};

class ArtifactFolder : public ::testing::Test {
 protected:
  ArtifactFolder() {
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);  // fingerprints are remembered there
    std::filesystem::create_directory(folder_ / "base");
  }
  std::shared_ptr<const WeightSource> model(const std::function<void(Architecture&)>& change) const {
    return std::make_shared<Changed>(folder_ / "base", change);
  }
  std::unique_ptr<ArtifactWriter> begin(const std::shared_ptr<const WeightSource>& base) const {
    return std::make_unique<ArtifactWriter>(out(), base, tokenizer_, "key");
  }
  std::filesystem::path out() const { return folder_ / "artifact"; }

  testing::TemporaryFolder folder_;
  NoTokenizer tokenizer_;
};

TEST_F(ArtifactFolder, HoldsNoOtherFilesWhenItIsBegun) {
  const auto base = model([](Architecture&) {});
  std::filesystem::create_directory(out());
  write_file_atomically(out() / "notes.txt", "mine");
  EXPECT_EQ(
      error_text(ErrorCode::kConfig, [&] { (void)begin(base); }),
      out().string() +
          ": holds 'notes.txt' and no artifact that lowbit has begun; name a new or an empty folder for the artifact");
  EXPECT_FALSE(std::filesystem::exists(out() / "lowbit.json"));
  std::filesystem::rename(out() / "notes.txt", out() / ".lowbit.json.part-a1B2c3");  // left by a run that was killed
  (void)begin(base);
  write_file_atomically(out() / "notes.txt", "mine");
  EXPECT_FALSE(begin(base)->finished());  // its own artifact, whatever lies beside it
}

TEST_F(ArtifactFolder, SaysInItsConfigWhatATransformChanged) {
  const auto base = model([](Architecture& a) {
    a.query_key_rotation = rotation_for(a.head_dim, 0, false);
    a.down_input_rotation = rotation_for(a.intermediate, 4, true);
  });
  const auto writer = begin(base);
  BlockArtifact unsolved;
  for (unsolved.index = 0; unsolved.index < 2; ++unsolved.index) writer->write_block(unsolved);
  writer->finish("{}");
  EXPECT_EQ(open_artifact(out())->architecture(), base->architecture());
  const Json config = parse_json(read_file(out() / "config.json"), "config.json");
  EXPECT_EQ(config["base_config"]["lowbit_rotations"]["down_input"],
            (Json{{"core", "paley1"}, {"core_order", 44}, {"seed", 4}, {"random_signs", true}}));
  // Readers of the first version would not carry the rotations out.
  EXPECT_EQ(config["quantization_config"]["version"], kArtifactFormat);
  const Json record = parse_json(read_file(out() / "lowbit.json"), "lowbit.json");
  EXPECT_EQ(record["layout_reason"], "queries and keys that are rotated at run time");
}

TEST_F(ArtifactFolder, RefusesAChangeThatAConfigCannotSay) {
  const auto base = model([](Architecture& a) { a.norm_eps = 0.5; });
  EXPECT_EQ(
      error_text(ErrorCode::kUnsupported, [&] { (void)begin(base); }),
      (folder_ / "base").string() +
          ": the architecture that is to be stored cannot be said in a config.json; of what a model transform may "
          "change, the head's tying and rotations can");
  EXPECT_FALSE(std::filesystem::exists(out()));
}

}  // namespace
}  // namespace lowbit
