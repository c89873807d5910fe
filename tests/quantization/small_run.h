#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/quantization/driver.h"
#include "lowbit/tensor/parallel.h"
#include "model/small_model.h"
#include "support/test_data.h"

namespace lowbit::testing {

inline std::shared_ptr<const Recipe> recipe_of(const std::string& yaml, const QuantizationRegistries& registries) {
  ConfigProblems problems;
  std::shared_ptr<const Recipe> recipe =
      Recipe::decode("test", ConfigNode::parse(yaml, "x.yaml"), registries, problems);
  problems.throw_if_any();
  return recipe;
}

/// Cancels when the given number of blocks is done.
class CancelAfter : public Progress {
 public:
  CancelAfter(Cancellation& cancellation, int blocks) : cancellation_(cancellation), blocks_(blocks) {}
  std::unique_ptr<ProgressTask> start(std::string, std::int64_t, std::string) override {
    return std::make_unique<Task>(*this);
  }

 private:
  struct Task : ProgressTask {
    explicit Task(CancelAfter& owner) : owner_(owner) {}
    void advance(std::int64_t) override {
      if (--owner_.blocks_ == 0) owner_.cancellation_.request();
    }
    void note(std::string_view) override {}
    CancelAfter& owner_;
  };
  Cancellation& cancellation_;
  int blocks_;
};

/// A random Llama of two blocks, calibration sequences, and folders for artifacts.
class SmallRun {
 public:
  SmallRun() {
    set_thread_count(1);  // products this small lose more by threads than they gain
    make_folders(folder_ / "base");
    source_ = std::make_shared<SmallModel>(folder_ / "base");
    model_ = Model::make(source_, std::make_unique<NoTokenizer>(), {}, Model::Residency::kResident,
                         runtime_readers(registries));
    const Random random(3, "tokens");
    std::uint64_t counter = 0;
    for (int sequence = 0; sequence < 6; ++sequence) {
      std::vector<TokenId> ids;
      for (int token = 0; token < 24; ++token) ids.push_back(static_cast<TokenId>(random.below(counter++, 20)));
      calibration_.sequences.push_back(std::move(ids));
    }
    calibration_.options.name = "random";
    calibration_.hash = hash_of("random tokens");
  }

  [[nodiscard]] QuantizeRequest request(const std::string& yaml, const std::string& output) const {
    return {model_, recipe_of(yaml, registries), &calibration_, 0, folder_ / output};
  }
  QuantizeReport quantize(const std::string& yaml, const std::string& output) const {
    return lowbit::quantize(request(yaml, output), *silent_progress(), Cancellation());
  }
  [[nodiscard]] std::shared_ptr<const WeightSource> artifact(const std::string& output) const {
    return open_weights(folder_ / output);
  }
  [[nodiscard]] QuantizedWeight layer(const std::string& output, const std::string& name) const {
    return artifact(output)->load_quantized(name).value();
  }
  /// Of every quantized layer of an artifact, in order.
  [[nodiscard]] std::vector<std::string> hashes(const std::string& output) const {
    std::vector<std::string> result;
    const auto weights = artifact(output);
    for (const std::string& name : linear_names(model_->architecture())) {
      const std::optional<QuantizedWeight> found = weights->load_quantized(name);
      result.push_back(found ? found->content_hash().hex() : "float");
    }
    return result;
  }
  [[nodiscard]] const Model& model() const { return *model_; }
  [[nodiscard]] const CalibrationSet& calibration() const { return calibration_; }
  [[nodiscard]] std::filesystem::path path(const std::string& name) const { return folder_ / name; }

  QuantizationRegistries registries = builtin_quantization();

 private:
  TemporaryFolder folder_;
  std::shared_ptr<SmallModel> source_;
  std::shared_ptr<Model> model_;
  CalibrationSet calibration_;
};

}  // namespace lowbit::testing
