#include "model/gguf_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/containers/gguf.h"
#include "lowbit/tensor/factory.h"
#include "model/expected_tensors.h"
#include "model/fingerprint.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kModelNames = {{
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kBlockNames = {{
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
}};

template <typename Table>
std::string_view translate(const Table& table, std::string_view name) {
  for (const auto& [stored, canonical] : table) {
    if (stored == name) return canonical;
  }
  return {};
}

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight". A name without a counterpart stays as it is, and
// is then found to have no place.
std::string canonical_name(const std::string& stored) {
  const std::size_t dot = stored.rfind('.');
  if (dot == std::string::npos) return stored;
  const std::string_view stem = std::string_view(stored).substr(0, dot);
  const std::string suffix = stored.substr(dot);
  if (const std::string_view name = translate(kModelNames, stem); !name.empty()) return std::string(name) + suffix;
  if (!stem.starts_with("blk.")) return stored;
  const std::size_t second = stem.find('.', 4);
  if (second == std::string_view::npos) return stored;
  const std::string_view name = translate(kBlockNames, stem.substr(second + 1));
  if (name.empty()) return stored;
  return fmt::format("model.layers.{}.{}{}", stem.substr(4, second - 4), name, suffix);
}

// Bits that a weight's code takes in a quantized block type; 0 for plain floats.
int code_bits(StorageType type) {
  switch (type) {
    case StorageType::kTQ1_0:
    case StorageType::kTQ2_0:
    case StorageType::kQ2_K: return 2;
    case StorageType::kQ3_K: return 3;
    case StorageType::kQ4_0:
    case StorageType::kQ4_1:
    case StorageType::kQ4_K:
    case StorageType::kMXFP4: return 4;
    case StorageType::kQ5_0:
    case StorageType::kQ5_1:
    case StorageType::kQ5_K: return 5;
    case StorageType::kQ6_K: return 6;
    case StorageType::kQ8_0:
    case StorageType::kQ8_K: return 8;
    default: return 0;
  }
}

class GgufSource : public WeightSource {
 public:
  explicit GgufSource(const fs::path& path)
      : path_(path), file_(GgufFile::open(path)), architecture_(architecture_from_gguf(*file_)) {
    for (const TensorEntry& entry : file_->tensors()) {
      if (entry.name == "rope_freqs.weight") continue;
      const std::string name = canonical_name(entry.name);
      entries_[name] = &entry;
      tensors_.push_back({name, std::string(storage_type_name(entry.type)), entry.shape,
                          static_cast<std::int64_t>(entry.data.size())});
    }
    check_tensors(architecture_, tensors_, path.string());
  }

  const Architecture& architecture() const override { return architecture_; }
  const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  bool contains(std::string_view name) const override { return entries_.contains(name); }
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override;
  std::optional<at::Tensor> load_rows(std::string_view name, const std::vector<std::int64_t>& shape, std::int64_t first,
                                      std::int64_t count) const override;
  std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  Hash fingerprint() const override;
  const fs::path& path() const override { return path_; }
  std::string format() const override { return "GGUF"; }
  std::vector<std::string> remarks() const override;

 private:
  [[nodiscard]] const TensorEntry& entry(std::string_view name, const std::vector<std::int64_t>& shape) const;
  [[nodiscard]] at::Tensor restore_rows(std::string_view name, const at::Tensor& stored) const;

  fs::path path_;
  std::shared_ptr<const GgufFile> file_;
  Architecture architecture_;
  std::map<std::string, const TensorEntry*, std::less<>> entries_;
  std::vector<StoredTensor> tensors_;
  mutable std::mutex mutex_;
  mutable std::optional<Hash> fingerprint_;
};

// GGUF files of this family hold each head's query and key rows as interleaved pairs: the row of half c, pair i stands
// at 2 i + c. Hugging Face's order has one half after the other.
bool is_paired(std::string_view name) {
  return name.find("self_attn.q_proj.") != std::string_view::npos ||
         name.find("self_attn.k_proj.") != std::string_view::npos;
}

// Of whole heads.
at::Tensor GgufSource::restore_rows(std::string_view name, const at::Tensor& stored) const {
  if (!is_paired(name)) return stored;
  const std::int64_t heads = stored.size(0) / architecture_.head_dim;
  const at::Tensor pairs = stored.view({heads, architecture_.head_dim / 2, 2, -1});
  return pairs.transpose(1, 2).reshape(stored.sizes());
}

const TensorEntry& GgufSource::entry(std::string_view name, const std::vector<std::int64_t>& shape) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail(ErrorCode::kData, "{}: tensor '{}' is missing", path_.string(), name);
  if (found->second->shape != shape) {
    fail(ErrorCode::kData, "{}: tensor '{}' has shape {}, expected {}", path_.string(), name,
         shape_text(found->second->shape), shape_text(shape));
  }
  return *found->second;
}

at::Tensor GgufSource::load(std::string_view name, const std::vector<std::int64_t>& shape) const {
  return restore_rows(name, read_floats(entry(name, shape), file_->mapping()));
}

std::optional<at::Tensor> GgufSource::load_rows(std::string_view name, const std::vector<std::int64_t>& shape,
                                                std::int64_t first, std::int64_t count) const {
  const TensorEntry& stored = entry(name, shape);
  // Whole heads, whose rows stand in another order.
  if (is_paired(name) && (first % architecture_.head_dim != 0 || count % architecture_.head_dim != 0)) {
    return std::nullopt;
  }
  std::optional<at::Tensor> rows = read_rows(stored, file_->mapping(), first, count);
  if (rows) rows = restore_rows(name, *rows);
  return rows;
}

Hash GgufSource::fingerprint() const {
  const std::lock_guard lock(mutex_);
  // The file's bytes hold the architecture, too.
  if (!fingerprint_) fingerprint_ = file_fingerprint(path_);
  return *fingerprint_;
}

std::vector<std::string> GgufSource::remarks() const {
  std::set<std::string_view> types;
  int low = 16;
  int high = 0;
  for (const auto& [name, entry] : entries_) {
    const int bits = code_bits(entry->type);
    if (bits == 0 || !name.starts_with("model.layers.")) continue;
    types.insert(storage_type_name(entry->type));
    low = std::min(low, bits);
    high = std::max(high, bits);
  }
  if (types.empty()) return {};
  if (low == high)
    return {fmt::format("base already on {} {}-bit grid ({})", low == 8 ? "an" : "a", low, fmt::join(types, ", "))};
  return {fmt::format("base already on {}- to {}-bit grids ({})", low, high, fmt::join(types, ", "))};
}

}  // namespace

std::shared_ptr<const WeightSource> open_gguf_source(const fs::path& path) {
  return std::make_shared<GgufSource>(path);
}

}  // namespace lowbit
