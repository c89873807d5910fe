#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/model/artifact.h"
#include "lowbit/model/model.h"
#include "lowbit/model/runtime_readers.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "model/small_model.h"
#include "support/test_data.h"

namespace lowbit::testing {

inline const std::vector<std::string> kSlots = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                                "mlp.down_proj"};

/// The head as a matrix of its own.
class UntiedModel : public SmallModel {
 public:
  explicit UntiedModel(const std::filesystem::path& folder) : SmallModel(folder), architecture_(untied()) {}
  const Architecture& architecture() const override { return architecture_; }

 private:
  [[nodiscard]] Architecture untied() const {
    Architecture result = SmallModel::architecture();
    result.tied_head = false;
    return result;
  }
  Architecture architecture_;
};

/// A small model quantized to an artifact, with a head of 8 bits.
class PackedModel : public ::testing::Test {
 protected:
  using Change = std::function<void(const std::string& slot, QuantizedWeight&)>;

  PackedModel() {
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);
    std::filesystem::create_directory(folder_ / "base");
  }

  void write(const GridSpec& grid, const std::vector<RuntimeRecord>& around = {}, const Change& change = {}) {
    const auto base = std::make_shared<UntiedModel>(folder_ / "base");
    ArtifactWriter writer(folder_ / "artifact", base, tokenizer_, "key");
    for (std::int64_t index = 0; index < 2; ++index) {
      BlockArtifact block;
      block.index = index;
      for (const std::string& slot : kSlots) {
        const auto weight = base->load("model.layers." + std::to_string(index) + "." + slot + ".weight", {});
        block.linears[slot] = quantize_to_nearest(weight, grid);
        if (change) change(slot, block.linears[slot]);
        if (!around.empty()) block.executions[slot] = around;
      }
      writer.write_block(block);
    }
    const GridOptions head{.bits = 8, .group = 16};
    writer.finish("{}", {{"lm_head.weight", base->load("model.embed_tokens.weight", {})}}, std::nullopt,
                  quantize_to_nearest(base->load("model.embed_tokens.weight", {}), head.spec()));
  }

  std::shared_ptr<Model> open(Execution execution, Model::Residency residency = Model::Residency::kResident,
                              DType dtype = DType::kFloat32) const {
    ComputeOptions options;
    options.dtype = dtype;
    options.execution = execution;
    RuntimeReaders readers;
    readers.execution = [](const RuntimeRecord& record, const LinearOp&) -> std::shared_ptr<const LinearExecution> {
      return std::make_shared<Halving>(record);
    };
    return Model::make(open_weights(folder_ / "artifact"), nullptr, options, residency, readers);
  }

  static at::Tensor ids(std::int64_t sequences, std::int64_t tokens) {
    return make_arange(sequences * tokens, DType::kInt64).mul(7).remainder(20).view({sequences, tokens});
  }

  static at::Tensor logits(const Model& model) {
    const NoGradScope no_grad;
    return model.logits(model.run(model.embed(ids(2, 6))));
  }

  // Stands for any execution that a recipe may bring.
  class Halving : public LinearExecution {
   public:
    explicit Halving(RuntimeRecord record) : record_(std::move(record)) {}
    at::Tensor map_input(const at::Tensor& x) const override { return x.mul(0.5); }
    RuntimeRecord record() const override { return record_; }
    std::string text() const override { return "halved"; }

   private:
    RuntimeRecord record_;
  };

  TemporaryFolder folder_;
  NoTokenizer tokenizer_;
};

inline GridSpec four_bits() { return GridOptions{.bits = 4, .group = 16}.spec(); }

}  // namespace lowbit::testing
