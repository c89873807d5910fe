#include "model/expected_tensors.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/resident.h"
#include "lowbit/formats/ggml_blocks.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

constexpr std::array kReadable = {StorageType::kF32,  StorageType::kF16,  StorageType::kBF16,  StorageType::kQ4_0,
                                  StorageType::kQ4_1, StorageType::kQ5_0, StorageType::kQ5_1,  StorageType::kQ8_0,
                                  StorageType::kQ2_K, StorageType::kQ3_K, StorageType::kQ4_K,  StorageType::kQ5_K,
                                  StorageType::kQ6_K, StorageType::kQ8_K, StorageType::kTQ1_0, StorageType::kTQ2_0,
                                  StorageType::kMXFP4};

void add_linear(std::vector<ExpectedTensor>& list, const std::string& name, std::int64_t out, std::int64_t in,
                bool bias) {
  list.push_back({name + ".weight", {out, in}});
  if (bias) list.push_back({name + ".bias", {out}});
}

void add_block(std::vector<ExpectedTensor>& list, const Architecture& a, std::int64_t index) {
  const std::string block = "model.layers." + std::to_string(index) + ".";
  const std::int64_t q = a.heads * a.head_dim;
  const std::int64_t kv = a.kv_heads * a.head_dim;
  list.push_back({block + "input_layernorm.weight", {a.hidden}});
  add_linear(list, block + "self_attn.q_proj", q, a.hidden, a.attention_bias);
  add_linear(list, block + "self_attn.k_proj", kv, a.hidden, a.attention_bias);
  add_linear(list, block + "self_attn.v_proj", kv, a.hidden, a.attention_bias);
  add_linear(list, block + "self_attn.o_proj", a.hidden, q, a.attention_bias);
  list.push_back({block + "post_attention_layernorm.weight", {a.hidden}});
  add_linear(list, block + "mlp.gate_proj", a.intermediate, a.hidden, a.mlp_bias);
  add_linear(list, block + "mlp.up_proj", a.intermediate, a.hidden, a.mlp_bias);
  add_linear(list, block + "mlp.down_proj", a.hidden, a.intermediate, a.mlp_bias);
}

bool readable(const std::string& type) {
  const auto same = [&](StorageType known) { return storage_type_name(known) == type; };
  return std::any_of(kReadable.begin(), kReadable.end(), same);
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Architecture& a) {
  std::vector<ExpectedTensor> list;
  list.push_back({"model.embed_tokens.weight", {a.vocabulary, a.hidden}});
  for (std::int64_t i = 0; i < a.layers; ++i) add_block(list, a, i);
  list.push_back({"model.norm.weight", {a.hidden}});
  list.push_back({"lm_head.weight", {a.vocabulary, a.hidden}, a.tied_head});
  return list;
}

void check_tensors(const Architecture& architecture, const std::vector<StoredTensor>& stored,
                   const std::string& origin) {
  std::map<std::string, const StoredTensor*> by_name;
  for (const StoredTensor& tensor : stored) {
    if (!by_name.emplace(tensor.name, &tensor).second) {
      fail(ErrorCode::kData, "{}: tensor '{}' is there twice", origin, tensor.name);
    }
  }
  for (const ExpectedTensor& expected : expected_tensors(architecture)) {
    const auto found = by_name.find(expected.name);
    if (found == by_name.end()) {
      if (expected.optional) continue;
      fail(ErrorCode::kData, "{}: tensor '{}' of shape {} is missing", origin, expected.name,
           shape_text(expected.shape));
    }
    const StoredTensor& tensor = *found->second;
    if (tensor.shape != expected.shape) {
      fail(ErrorCode::kData, "{}: tensor '{}' has shape {}, expected {}", origin, tensor.name, shape_text(tensor.shape),
           shape_text(expected.shape));
    }
    if (!readable(tensor.type)) {
      fail(ErrorCode::kUnsupported, "{}: tensor '{}' is stored as {}, which is not supported as a weight", origin,
           tensor.name, tensor.type);
    }
    by_name.erase(found);
  }
  if (!by_name.empty()) {
    fail(ErrorCode::kData, "{}: tensor '{}' has no place in this '{}' architecture ({} such tensors)", origin,
         by_name.begin()->first, architecture.family, by_name.size());
  }
}

namespace {

// Keeps a part of a mapped file for a view of it, and lets it leave the memory when the view is gone.
class ResidentPart {
 public:
  ResidentPart(std::shared_ptr<const MappedFile> file, std::span<const std::byte> part)
      : file_(std::move(file)), part_(part) {}
  ~ResidentPart() { release_resident(*file_, part_); }
  ResidentPart(const ResidentPart&) = delete;
  ResidentPart& operator=(const ResidentPart&) = delete;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::span<const std::byte> part_;
};

template <typename Element>
std::span<Element> part_of(std::span<Element> whole, std::int64_t begin, std::int64_t end, std::int64_t size) {
  return whole.subspan(static_cast<std::size_t>(begin * size), static_cast<std::size_t>((end - begin) * size));
}

// All values of a stored tensor, each part of the file decoded by the thread that read it.
void decode_values(const TensorEntry& entry, const MappedFile& file, std::span<float> values) {
  constexpr std::int64_t kNumbers = std::int64_t{1} << 15;  // which stay in the cache with what they are made of
  const BlockSize block = block_size(entry.type);
  const std::int64_t blocks = entry.elements() / block.elements;
  const std::int64_t most = std::max<std::int64_t>(1, kNumbers / block.elements);
  parallel_for(blocks, 2 * most, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(std::min(most, end - begin) * block.bytes));
    for (std::int64_t first = begin; first < end; first += most) {
      const std::int64_t last = std::min(end, first + most);
      const std::span<const std::byte> stored = part_of(entry.data, first, last, block.bytes);
      file.copy_part(stored, bytes.data());
      dequantize_blocks(entry.type, std::span(bytes).first(stored.size()),
                        part_of(values, first, last, block.elements));
    }
  });
}

}  // namespace

at::Tensor read_floats(const TensorEntry& entry, const std::shared_ptr<const MappedFile>& file) {
  // A view elsewhere would soon be copied by those who compute with it, and be in memory twice meanwhile.
  constexpr std::uintptr_t kCacheLine = 64;
  const bool on_line = reinterpret_cast<std::uintptr_t>(entry.data.data()) % kCacheLine == 0;
  if (entry.type == StorageType::kF32 && on_line) {
    return view_bytes(entry.data, entry.shape, DType::kFloat32, std::make_shared<ResidentPart>(file, entry.data));
  }
  at::Tensor out = make_empty(entry.shape, DType::kFloat32);
  decode_values(entry, *file, mutable_values_of<float>(out));
  return out;
}

std::optional<at::Tensor> read_rows(const TensorEntry& entry, const std::shared_ptr<const MappedFile>& file,
                                    std::int64_t first, std::int64_t count) {
  LOWBIT_ASSERT(!entry.shape.empty() && first >= 0 && count > 0 && first + count <= entry.shape[0]);
  const std::int64_t width = entry.elements() / entry.shape[0];
  const BlockSize block = block_size(entry.type);
  if (width % block.elements != 0) return std::nullopt;
  TensorEntry part = entry;
  part.shape[0] = count;
  part.data = part_of(entry.data, first, first + count, width / block.elements * block.bytes);
  // What follows these rows is fetched while they are computed with, each byte asked for once.
  constexpr std::size_t kAhead = std::size_t{32} << 20;
  const std::size_t known = first == 0 ? 0 : kAhead;
  read_ahead(*file, {part.data.data() + known, part.data.size() + kAhead - known});
  return read_floats(part, file);
}

}  // namespace lowbit
