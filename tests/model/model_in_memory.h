#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/base/random.h"
#include "lowbit/model/architecture.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/tensor/factory.h"

namespace lowbit::testing {

/// Float weights that are kept in memory; the folder holds config.json and a tokenizer file.
class ModelInMemory : public WeightSource {
 public:
  const Architecture& architecture() const override { return architecture_; }
  const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  bool contains(std::string_view name) const override { return values_.contains(std::string(name)); }
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>&) const override {
    return values_.at(std::string(name));
  }
  std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  Hash fingerprint() const override { return hash_of(name_); }
  const std::filesystem::path& path() const override { return path_; }
  std::string format() const override { return "safetensors"; }

 protected:
  ModelInMemory(std::string name, std::filesystem::path folder, const std::string& config)
      : name_(std::move(name)), path_(std::move(folder)) {
    std::filesystem::create_directories(path_);
    write_file_atomically(path_ / "config.json", config);
    write_file_atomically(path_ / "tokenizer.json", "{\"made\": \"up\"}");
    architecture_ = architecture_from_config(config, "config.json");
  }
  /// number(random, index): drawn by the tensor's own name.
  template <typename Number>
  void add(const std::string& name, const std::vector<std::int64_t>& shape, const std::string& type,
           const Number& number) {
    const Random random(7, name);
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(number(random, static_cast<std::uint64_t>(i)));
    values_[name] = tensor_of(std::span<const float>(values)).view(shape);
    tensors_.push_back({name, type, shape, 0});
  }

 private:
  std::string name_;
  std::filesystem::path path_;
  Architecture architecture_;
  std::map<std::string, at::Tensor> values_;
  std::vector<StoredTensor> tensors_;
};

}  // namespace lowbit::testing
