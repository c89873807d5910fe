#include "evaluation/divergence.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <system_error>

#include "lowbit/base/error.h"
#include "lowbit/base/resident.h"
#include "lowbit/evaluation/statistics.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

constexpr const char* kTensor = "hidden";

std::int64_t target_count(const ScoreRequest& request) {
  return static_cast<std::int64_t>(request.tokens.size()) - request.first;
}

std::int64_t target_count(std::span<const ScoreRequest> requests) {
  std::int64_t total = 0;
  for (const ScoreRequest& request : requests) total += target_count(request);
  return total;
}

// Of a safetensors file with the one tensor; the data behind it begins at a multiple of 8.
std::string states_header(std::int64_t positions, std::int64_t hidden_size) {
  std::string text =
      fmt::format(R"({{"{}":{{"dtype":"F32","shape":[{},{}],"data_offsets":[0,{}]}}}})", kTensor, positions,
                  hidden_size, positions * hidden_size * static_cast<std::int64_t>(sizeof(float)));
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

void add_metric(EvaluationResult& result, std::string name, const MeanEstimate& estimate,
                bool higher_is_better = false) {
  result.metrics.push_back({.name = std::move(name),
                            .value = estimate.mean,
                            .standard_error = estimate.scaled_error(),
                            .higher_is_better = higher_is_better});
}

/// The numbers of one window or document, and each unit's number of positions as its weight.
struct UnitColumns {
  std::vector<double> kl, top1, delta_p, square_delta_p, log_ratio, positions, weight;

  void add(EvaluationResult::Item& item, std::span<const std::vector<RowDivergence>> requests) {
    double kl_sum = 0;
    double top_sum = 0;
    double delta_sum = 0;
    double square_sum = 0;
    double reference_sum = 0;
    double count = 0;
    for (const std::vector<RowDivergence>& rows : requests) {
      double request_sum = 0;  // added up as `Score::sum` is, so that equal models differ by exactly nothing
      for (const RowDivergence& row : rows) {
        kl_sum += row.kl;
        top_sum += row.same_top ? 1 : 0;
        delta_sum += row.delta_p;
        square_sum += row.delta_p * row.delta_p;
        request_sum += row.reference_log_likelihood;
        count += 1;
      }
      reference_sum += request_sum;
    }
    const double reference = -reference_sum / item.weight;
    for (auto [column, value] : {std::pair{&kl, kl_sum / count},
                                 {&top1, top_sum / count},
                                 {&delta_p, delta_sum / count},
                                 {&square_delta_p, square_sum / count},
                                 {&log_ratio, item.value - reference},
                                 {&positions, count},
                                 {&weight, item.weight}}) {
      column->push_back(value);
    }
    item.more["kl"] = kl.back();
    item.more["top1"] = top1.back();
    item.more["delta_p"] = delta_p.back();
    item.more["reference"] = reference;
  }
};

void add_quantiles(const std::vector<std::vector<RowDivergence>>& positions, EvaluationResult& result) {
  std::vector<double> values;
  for (const std::vector<RowDivergence>& rows : positions) {
    for (const RowDivergence& row : rows) values.push_back(row.kl);
  }
  std::sort(values.begin(), values.end());
  for (const auto& [name, q] : {std::pair{"kl_median", 0.5},
                                {"kl_p90", 0.9},
                                {"kl_p95", 0.95},
                                {"kl_p99", 0.99},
                                {"kl_p99.9", 0.999},
                                {"kl_max", 1.0}}) {
    result.metrics.push_back(
        {.name = name, .value = quantile(values, q), .standard_error = {}, .higher_is_better = false});
  }
}

}  // namespace

ReferenceWriter::ReferenceWriter(const std::filesystem::path& file, const std::filesystem::path& work_folder,
                                 std::span<const ScoreRequest> requests, std::int64_t hidden_size)
    : requests_(requests), hidden_size_(hidden_size) {
  const std::int64_t positions = target_count(requests);
  const auto bytes = static_cast<std::uint64_t>(positions) * static_cast<std::uint64_t>(hidden_size) * sizeof(float);
  make_folders(file.parent_path());
  if (work_folder.empty()) own_folder_ = std::make_unique<WorkFolder>(file.parent_path(), file.stem().string());
  const std::filesystem::path part = (own_folder_ ? own_folder_->path() : work_folder) / file.filename();
  file_ = std::make_unique<ResumableFile>(file, part);
  earlier_ = MappedFile::open(part);
  in_place_ = !earlier_->bytes().empty();
  if (const std::uint64_t room = free_disk_bytes(part.parent_path()) + earlier_->bytes().size(); room < bytes) {
    fail(ErrorCode::kIo,
         "{}: the float model's hidden states need {}, the disk has {}; lower 'limit' or set 'divergence: false'",
         file.string(), format_bytes(bytes), format_bytes(room));
  }
  // The process may have died behind the renaming and before the result was stored.
  if (!in_place_ && std::filesystem::exists(file)) earlier_ = MappedFile::open(file);
  const std::string header = states_header(positions, hidden_size);
  const std::uint64_t length = header.size();
  file_->write(&length, sizeof length);
  file_->write(header);
}

ReferenceWriter::~ReferenceWriter() {
  if (own_folder_) own_folder_->remove();
}

void ReferenceWriter::hidden(std::size_t, const at::Tensor& states) {
  const at::Tensor rows = to_dtype(states, DType::kFloat32).cpu().contiguous();
  const std::span<const std::byte> bytes = bytes_of(rows);
  file_->write(bytes.data(), bytes.size());
  last_ = hash_of(bytes);
}

std::vector<std::byte> ReferenceWriter::save(std::size_t) {
  std::vector<std::byte> saved(sizeof(Hash));
  std::memcpy(saved.data(), &last_, sizeof(Hash));
  return saved;
}

bool ReferenceWriter::restore(std::size_t request, std::span<const std::byte> saved) {
  const auto values = static_cast<std::size_t>(target_count(requests_[request]) * hidden_size_);
  const std::size_t begin = file_->size();
  const std::size_t size = values * sizeof(float);
  if (saved.size() != sizeof(Hash) || !earlier_ || earlier_->bytes().size() < begin + size) return false;
  const std::span<const std::byte> states = earlier_->bytes().subspan(begin, size);
  const Hash found = hash_of(states);
  if (std::memcmp(saved.data(), &found, sizeof(Hash)) != 0) return false;
  if (in_place_) {
    file_->keep(size);
  } else {
    file_->write(states.data(), size);
  }
  return true;
}

DivergenceObserver::DivergenceObserver(const std::filesystem::path& file, const Model& baseline,
                                       std::span<const ScoreRequest> requests)
    : baseline_(baseline), requests_(requests) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) {
    fail(ErrorCode::kData,
         "perplexity: the float model's hidden states '{}' are missing; run this evaluation on the baseline first (or "
         "its "
         "tokenizer gives other tokens for this text)",
         file.string());
  }
  file_ = SafetensorsFile::open(file);
  const Shape expected = {target_count(requests), baseline.architecture().hidden};
  const TensorEntry* entry = file_->find(kTensor);
  if (entry == nullptr || entry->type != StorageType::kF32 || entry->shape != expected) {
    fail(ErrorCode::kData, "{}: expected a float32 tensor '{}' of shape {}; remove the file and run the baseline again",
         file.string(), kTensor, shape_text(expected));
  }
  states_ = view_bytes(entry->data, expected, DType::kFloat32, file_);
  std::int64_t position = 0;
  for (const ScoreRequest& request : requests) {
    first_position_.push_back(position);
    position += target_count(request);
    positions_.emplace_back(static_cast<std::size_t>(target_count(request)));
  }
}

void DivergenceObserver::logits(std::size_t request, std::int64_t first_row, const at::Tensor& rows) {
  const std::int64_t count = rows.size(0);
  const at::Tensor stored = states_.narrow(0, first_position_[request] + first_row, count);
  const at::Tensor states = to_place(stored, baseline_.options().dtype, baseline_.options().device);
  const at::Tensor reference = baseline_.head(states).cpu().contiguous();
  release_resident(*file_->mapping(), bytes_of(stored));
  if (reference.size(1) != rows.size(1)) {
    fail(ErrorCode::kConfig,
         "perplexity: the model has {} logits, its baseline {}; set 'divergence: false' for this pair", rows.size(1),
         reference.size(1));
  }
  const auto width = static_cast<std::size_t>(rows.size(1));
  const std::span<const float> p = values_of<float>(reference);
  const std::span<const float> q = values_of<float>(rows);
  parallel_for(count, 1, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t r = from; r < to; ++r) {
      const std::size_t begin = static_cast<std::size_t>(r) * width;
      const TokenId target =
          requests_[request].tokens[static_cast<std::size_t>(requests_[request].first + first_row + r)];
      positions_[request][static_cast<std::size_t>(first_row + r)] =
          compare_rows(p.subspan(begin, width), q.subspan(begin, width), target);
    }
  });
}

std::vector<std::byte> DivergenceObserver::save(std::size_t request) {
  std::vector<double> numbers;
  for (const RowDivergence& row : positions_[request]) {
    numbers.insert(numbers.end(), {row.kl, row.delta_p, row.reference_log_likelihood, row.same_top ? 1.0 : 0.0});
  }
  std::vector<std::byte> saved(numbers.size() * sizeof(double));
  std::memcpy(saved.data(), numbers.data(), saved.size());
  return saved;
}

bool DivergenceObserver::restore(std::size_t request, std::span<const std::byte> saved) {
  std::vector<RowDivergence>& rows = positions_[request];
  std::vector<double> numbers(rows.size() * 4);
  if (saved.size() != numbers.size() * sizeof(double)) return false;
  std::memcpy(numbers.data(), saved.data(), saved.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const double* values = numbers.data() + row * 4;
    rows[row] = {
        .kl = values[0], .delta_p = values[1], .reference_log_likelihood = values[2], .same_top = values[3] != 0};
  }
  return true;
}

void add_divergence(const std::vector<std::vector<RowDivergence>>& positions, std::span<const ScoredUnit> units,
                    EvaluationResult& result) {
  UnitColumns columns;
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    columns.add(result.items[i], std::span(positions).subspan(units[i].first_request, units[i].requests));
  }
  add_metric(result, "kl_mean", weighted_mean_of(columns.kl, columns.positions));
  add_quantiles(positions, result);
  add_metric(result, "top1_agreement", weighted_mean_of(columns.top1, columns.positions), true);
  add_metric(result, "delta_p_mean", weighted_mean_of(columns.delta_p, columns.positions), true);
  const MeanEstimate square = weighted_mean_of(columns.square_delta_p, columns.positions);
  const double root = std::sqrt(square.mean);
  add_metric(result, "delta_p_rms",
             {.mean = root, .standard_error = root > 0 ? square.standard_error / (2 * root) : 0, .n = square.n});
  add_metric(result, "ln_perplexity_ratio", weighted_mean_of(columns.log_ratio, columns.weight));
}

}  // namespace lowbit
