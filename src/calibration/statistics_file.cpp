#include "lowbit/calibration/statistics_file.h"

#include <cmath>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

constexpr const char* kFormat = "lowbit-statistics-1";
constexpr std::string_view kTokens = ".tokens";

std::int64_t triangle(std::int64_t channels) { return channels * (channels + 1) / 2; }

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& tensor, std::string_view what) {
  fail(ErrorCode::kData, "{}: tensor '{}': {}; remove the file, and the statistics are collected again", path.string(),
       tensor, what);
}

}  // namespace

// What a file keeps of `Statistics`, and nobody else sees.
class StatisticsFile {
 public:
  using Parts = std::vector<std::pair<TensorDeclaration, at::Tensor>>;

  static void add_parts(Parts& parts, const std::string& group, const Statistics& s) {
    LOWBIT_ASSERT(can_be_stored(s.needs_) && !s.mapped_ && !s.ranges_lost_);
    const std::int64_t n = s.channels_;
    const std::vector<std::int64_t> counts = {s.tokens_, n};
    parts.push_back({{group + std::string(kTokens), StorageType::kI64, {2}}, tensor_of(std::span(counts))});
    if (s.needs_.hessian) parts.push_back({{group + ".gram", StorageType::kF64, {triangle(n)}}, s.gram_.cpu()});
    if (!s.needs_.channel_range) return;
    parts.push_back({{group + ".min", StorageType::kF32, {n}}, s.min_});
    parts.push_back({{group + ".max", StorageType::kF32, {n}}, s.max_});
    parts.push_back({{group + ".abs_sum", StorageType::kF64, {n}}, s.abs_sum_});
  }

  static void write(SafetensorsWriter& writer, const at::Tensor& tensor) {
    const std::span<const std::byte> bytes = bytes_of(tensor);
    if (tensor.dim() < 2) {
      writer.write(bytes.data(), bytes.size());
      return;
    }
    const std::span<const double> numbers = values_of<double>(tensor);
    const auto channels = static_cast<std::size_t>(tensor.size(0));
    for (std::size_t row = 0; row < channels; ++row) {
      writer.write(numbers.subspan(row * channels).data(), (row + 1) * sizeof(double));
    }
  }

  explicit StatisticsFile(const std::filesystem::path& path) : path_(path), file_(SafetensorsFile::open(path)) {
    const auto& metadata = file_->metadata();
    const auto format = metadata.find("format");
    if (format != metadata.end() && format->second == kFormat) return;
    fail(ErrorCode::kData, "{}: not a file of calibration statistics ('format' is not '{}'); remove it", path.string(),
         kFormat);
  }

  StatisticsByGroup read(Stream stream) const {
    StatisticsByGroup result;
    for (const TensorEntry& entry : file_->tensors()) {
      if (!entry.name.ends_with(kTokens)) continue;
      const std::string group = entry.name.substr(0, entry.name.size() - kTokens.size());
      result.emplace(group, group_of(group, stream));
    }
    return result;
  }

 private:
  Statistics group_of(const std::string& group, Stream stream) const {
    std::int64_t counts[2];  // tokens, channels
    copy(group + std::string(kTokens), StorageType::kI64, std::as_writable_bytes(std::span(counts)));
    constexpr std::int64_t kMostChannels = std::int64_t{1} << 24;
    if (counts[0] < 0 || counts[1] < 1 || counts[1] > kMostChannels) {
      refuse(path_, group + std::string(kTokens), fmt::format("{} tokens of {} channels", counts[0], counts[1]));
    }
    StatisticsNeeds needs{.stream = stream};
    needs.hessian = file_->find(group + ".gram") != nullptr;
    needs.channel_range = file_->find(group + ".min") != nullptr;
    if (needs.hessian) (void)find(group + ".gram", StorageType::kF64, triangle(counts[1]) * std::int64_t{8});
    Statistics s(counts[1], needs);
    s.tokens_ = counts[0];
    if (needs.hessian) read_triangle(group + ".gram", s.gram_);
    if (needs.channel_range) {
      read_row(group + ".min", s.min_);
      read_row(group + ".max", s.max_);
      read_row(group + ".abs_sum", s.abs_sum_);
    }
    return s;
  }

  std::span<const std::byte> find(const std::string& name, StorageType type, std::int64_t bytes) const {
    const TensorEntry* entry = file_->find(name);
    if (entry == nullptr) refuse(path_, name, "is missing");
    if (entry->type != type || std::cmp_not_equal(entry->data.size(), bytes))
      refuse(path_, name, fmt::format("has {} bytes or another type, expected {}", entry->data.size(), bytes));
    return entry->data;
  }

  void copy(const std::string& name, StorageType type, std::span<std::byte> target) const {
    const std::span<const std::byte> data = find(name, type, static_cast<std::int64_t>(target.size()));
    std::memcpy(target.data(), data.data(), data.size());
  }

  void read_row(const std::string& name, at::Tensor& row) const {
    const bool wide = dtype_of(row) == DType::kFloat64;
    auto* data = static_cast<std::byte*>(row.mutable_data_ptr());
    copy(name, wide ? StorageType::kF64 : StorageType::kF32, {data, static_cast<std::size_t>(row.nbytes())});
    check_finite(name, row);
  }

  void read_triangle(const std::string& name, at::Tensor& gram) const {
    const std::int64_t channels = gram.size(0);
    std::span<const std::byte> rest = find(name, StorageType::kF64, triangle(channels) * std::int64_t{8});
    const std::span<double> numbers = mutable_values_of<double>(gram);
    for (std::size_t row = 0; row < static_cast<std::size_t>(channels); ++row) {
      const std::size_t bytes = (row + 1) * sizeof(double);
      std::memcpy(numbers.data() + row * static_cast<std::size_t>(channels), rest.data(), bytes);
      rest = rest.subspan(bytes);
    }
    check_finite(name, gram);
  }

  void check_finite(const std::string& name, const at::Tensor& values) const {
    if (!all_finite(values)) refuse(path_, name, "holds a value that is not finite");
  }

  std::filesystem::path path_;
  std::shared_ptr<const SafetensorsFile> file_;
};

bool can_be_stored(const StatisticsNeeds& needs) {
  return !needs.cross && !needs.histogram && !needs.chunk_range && needs.sample_tokens == 0;
}

void write_statistics(const std::filesystem::path& path, const StatisticsByGroup& statistics) {
  StatisticsFile::Parts parts;
  for (const auto& [group, values] : statistics) StatisticsFile::add_parts(parts, group, values);
  std::vector<TensorDeclaration> declarations;
  for (const auto& [declaration, tensor] : parts) declarations.push_back(declaration);
  SafetensorsWriter writer(path, std::move(declarations), {{"format", kFormat}});
  for (const std::size_t index : writer.order()) StatisticsFile::write(writer, parts[index].second);
  writer.finish();
}

StatisticsByGroup read_statistics(const std::filesystem::path& path, Stream stream) {
  return StatisticsFile(path).read(stream);
}

}  // namespace lowbit
