#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/model/model.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "support/source_folder.h"

namespace lowbit::testing {

/// Folders made by tests/golden/model/make_models.py.
inline std::filesystem::path golden_model(const std::string& name) {
  return testing::source_folder() / "tests/golden/model" / name;
}

inline const std::vector<std::string>& golden_models() {
  static const std::vector<std::string> names = {"gqa-tied-sharded", "mha-untied-bfloat16", "biased-float16",
                                                 "rope-linear",      "rope-dynamic",        "rope-llama3",
                                                 "rope-yarn",        "rope-longrope"};
  return names;
}

inline std::shared_ptr<Model> open_without_tokenizer(const std::filesystem::path& path,
                                                     const ComputeOptions& options = {},
                                                     Model::Residency residency = Model::Residency::kResident) {
  return Model::make(open_weights(path), nullptr, options, residency);
}

inline at::Tensor ids_tensor(const std::vector<std::vector<std::int64_t>>& rows) {
  std::vector<std::int64_t> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return tensor_of(std::span<const std::int64_t>(flat)).view({static_cast<std::int64_t>(rows.size()), -1});
}

/// Logits of every position, [batch, tokens, vocabulary].
inline at::Tensor logits_of(const Model& model, const at::Tensor& ids) {
  return model.logits(model.run(model.embed(ids)));
}

inline Json read_json(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

/// The pool's size while alive.
class ThreadCount {
 public:
  explicit ThreadCount(int count) : previous_(thread_count()) { set_thread_count(count); }
  ~ThreadCount() { set_thread_count(previous_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int previous_;
};

}  // namespace lowbit::testing
