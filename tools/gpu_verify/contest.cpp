#include "contest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "lowbit/base/error.h"
#include "random_weights.h"

namespace lowbit::gpu_verify {

namespace {

double size_of(const cuda::Packed& packed) { return static_cast<double>(packed.bytes.size()); }

struct HalfParts {
  Weights weights;
  HalfRunner runner;
  HalfParts(const Gpu& gpu, const cuda::Packed& packed, int copies, const std::vector<float>& input, int tokens,
            cuda::HalfKernel kernel)
      : weights(gpu, packed, copies),
        runner(gpu, weights, cuda::NumberKind::kFloat16, to_16_bits(input, false), tokens, kernel,
               cuda::NumberKind::kFloat16) {}
};

struct IntegerParts {
  Weights weights;
  IntegerRunner runner;
  IntegerParts(const Gpu& gpu, const cuda::Packed& packed, int copies, int planes, const std::vector<float>& input,
               int tokens, IntegerKernel kernel, cuda::NumberKind output_kind)
      : weights(gpu, packed, copies), runner(gpu, weights, planes, input, tokens, kernel, output_kind) {}
};

// bfloat16 in and out, as a model has it.
struct Float8Parts {
  Weights weights;
  Float8Runner runner;
  Float8Parts(const Gpu& gpu, const cuda::Packed& packed, int copies, const std::vector<float>& input, int tokens)
      : weights(gpu, packed, copies), runner(gpu, weights, to_16_bits(input, true), tokens) {}
};

constexpr std::size_t element_bytes(RivalKind kind) {
  return kind == RivalKind::kInt8 || kind == RivalKind::kFp8 ? 1 : 2;
}

// Random numbers of ordinary size as the rival's type: zeros and denormals would be multiplied faster or slower.
std::vector<std::uint8_t> rival_numbers(RivalKind kind, std::size_t count, std::uint64_t seed) {
  std::vector<std::uint8_t> bytes(count * element_bytes(kind));
  if (element_bytes(kind) == 1) {
    std::mt19937_64 engine(seed);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine() >> 56);
    // E4M3 with exponents from -4 to 3: ordinary sizes, and none that is no number.
    for (std::uint8_t& byte : bytes) {
      if (kind == RivalKind::kFp8) byte = static_cast<std::uint8_t>((byte & 0x87U) | ((3U + byte / 8 % 8) << 3));
    }
    return bytes;
  }
  // A million distinct numbers, over and over: drawing 45 million takes longer than multiplying them.
  const auto numbers = to_16_bits(make_input(1 << 20, seed), kind == RivalKind::kBFloat16);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t number = numbers[i % numbers.size()];
    bytes[2 * i] = static_cast<std::uint8_t>(number);
    bytes[2 * i + 1] = static_cast<std::uint8_t>(number >> 8);
  }
  return bytes;
}

struct RivalParts {
  std::vector<std::unique_ptr<Buffer<std::uint8_t>>> weights;
  Buffer<std::uint8_t> input;
  Buffer<std::int32_t> output;
  RivalParts(const Gpu& gpu, RivalKind kind, int copies, const Shape& shape, int tokens)
      : input(gpu, rival_numbers(kind, static_cast<std::size_t>(tokens * shape.columns), 2)),
        output(gpu, static_cast<std::size_t>(tokens * shape.rows)) {
    const auto values = rival_numbers(kind, static_cast<std::size_t>(shape.rows * shape.columns), 1);
    for (int i = 0; i < copies; ++i) {
      weights.push_back(std::make_unique<Buffer<std::uint8_t>>(gpu, values));
    }
  }
};

struct LtParts : RivalParts {
  std::shared_ptr<CublasLt::Plan> plan;
  LtParts(std::shared_ptr<CublasLt::Plan> of, const Gpu& gpu, RivalKind kind, int copies, const Shape& shape,
          int tokens)
      : RivalParts(gpu, kind, copies, shape, tokens), plan(std::move(of)) {}
};

struct ExpandedParts {
  Weights weights;
  Buffer<std::uint16_t> expanded;
  Buffer<std::uint8_t> input;
  Buffer<std::int32_t> output;
  ExpandedParts(const Gpu& gpu, const cuda::Packed& packed, int copies, const Shape& shape, int tokens)
      : weights(gpu, packed, copies),
        expanded(gpu, static_cast<std::size_t>(shape.rows * shape.columns)),
        input(gpu, rival_numbers(RivalKind::kFloat16, static_cast<std::size_t>(tokens * shape.columns), 2)),
        output(gpu, static_cast<std::size_t>(tokens * shape.rows)) {}
};

}  // namespace

const cuda::Packed& Matrices::get(const Shape& shape, int bits, std::int64_t group, bool table) {
  const std::string key = fmt::format("{} {} {} {} {}", shape.columns, shape.rows, bits, group, table);
  const auto found = packed_.find(key);
  if (found != packed_.end()) return found->second;
  const kernels::PackedWeight weight = pack_for_cpu({shape.rows, shape.columns, group, bits, true, false, table}, 1);
  return packed_.emplace(key, cuda::pack(weight, all_threads())).first->second;
}

Contest::Contest(const Gpu& gpu, const Shape& shape, int tokens, Matrices& matrices, double rotation_bytes,
                 const Settings& settings)
    : gpu_(gpu),
      shape_(shape),
      tokens_(tokens),
      matrices_(matrices),
      rotation_bytes_(rotation_bytes),
      settings_(settings),
      input_(make_input(tokens * shape.columns, 3)) {}

bool Contest::admits(const std::string& name) const {
  const std::string& wanted = settings_.entrant;
  for (std::size_t from = 0; from <= wanted.size();) {
    const std::size_t end = std::min(wanted.find(',', from), wanted.size());
    if (name.find(wanted.substr(from, end - from)) != std::string::npos) return true;
    from = end + 1;
  }
  return false;
}

int Contest::copies_for(double bytes) const { return static_cast<int>((rotation_bytes_ + bytes - 1.0) / bytes); }

template <typename Multiply>
void Contest::add(const std::string& name, double weight_bytes, int launches, std::shared_ptr<void> memory,
                  const Multiply& multiply) {
  multiply(0);  // what is set up at a first call must not be recorded
  gpu_.wait();
  auto graph = std::make_unique<Graph>(gpu_, [&] {
    for (int copy = 0; copy < launches; ++copy) multiply(copy);
  });
  entrants_.push_back({name, weight_bytes, launches, std::move(memory), std::move(graph), {}});
}

void Contest::add_half(int bits, std::int64_t group, cuda::HalfKernel kernel, bool table) {
  constexpr const char* kNames[] = {"skinny",         "tiled",         "hopper",
                                    "hopper_rounded", "hopper_sliced", "hopper_rounded_turns"};
  const std::string name =
      fmt::format("{} W{}A16 g{}{}", kNames[static_cast<int>(kernel)], bits, group, table ? " table" : "");
  if (!admits(name)) return;
  const cuda::Packed& packed = matrices_.get(shape_, bits, group, table);
  if (kernel == cuda::HalfKernel::kHopperSliced &&
      cuda::choose_slices(packed.shape, tokens_, gpu_.clusters()).clusters == 0) {
    return;
  }
  const auto parts = std::make_shared<HalfParts>(gpu_, packed, copies_for(size_of(packed)), input_, tokens_, kernel);
  if (settings_.splits > 0) parts->runner.force_splits(settings_.splits);
  add(name, size_of(packed), parts->weights.copies(), parts, [&](int copy) { parts->runner.run(copy, true); });
}

void Contest::add_integer(int bits, std::int64_t group, int planes, bool with_rounding, IntegerKernel kernel,
                          cuda::NumberKind output_kind) {
  constexpr const char* kNames[] = {"int8", "int8_tiled", "hopper_bytes", "hopper_bytes_turns"};
  const char* made_by = planes == 1 ? kNames[static_cast<int>(kernel)] : "int16";
  const std::string name = fmt::format("{} W{} g{}{}{}", made_by, bits, group, with_rounding ? " with rounding" : "",
                                       output_kind == cuda::NumberKind::kBFloat16 ? " to bfloat16" : "");
  if (!admits(name)) return;
  const cuda::Packed& packed = matrices_.get(shape_, bits, group);
  const auto parts = std::make_shared<IntegerParts>(gpu_, packed, copies_for(size_of(packed)), planes, input_, tokens_,
                                                    kernel, output_kind);
  parts->runner.quantize(0);
  add(name, size_of(packed), parts->weights.copies(), parts, [&](int copy) {
    if (with_rounding) parts->runner.quantize(copy, true);
    parts->runner.multiply(copy, true);
  });
}

void Contest::add_float8(bool with_rounding) {
  const std::string name = fmt::format("hopper_float8 W8 g{}{}", shape_.columns, with_rounding ? " with rounding" : "");
  if (!admits(name)) return;
  const cuda::Packed& packed = matrices_.get(shape_, 8, shape_.columns, true);
  const auto parts = std::make_shared<Float8Parts>(gpu_, packed, copies_for(size_of(packed)), input_, tokens_);
  parts->runner.round(0);
  add(name, size_of(packed), parts->weights.copies(), parts, [&](int copy) {
    if (with_rounding) parts->runner.round(copy, true);
    parts->runner.multiply(copy, true);
  });
}

void Contest::add_rival(const Cublas& cublas, RivalKind kind) {
  constexpr const char* kNames[] = {"cuBLAS float16", "cuBLAS bfloat16", "cuBLAS int8"};
  const std::string name = kNames[static_cast<int>(kind)];
  if (!admits(name)) return;
  const double bytes = static_cast<double>(shape_.rows * shape_.columns) * static_cast<double>(element_bytes(kind));
  const auto parts = std::make_shared<RivalParts>(gpu_, kind, copies_for(bytes), shape_, tokens_);
  add(name, bytes, static_cast<int>(parts->weights.size()), parts, [&](int copy) {
    cublas.multiply(kind, parts->weights[static_cast<std::size_t>(copy)]->data(), parts->input.data(),
                    parts->output.data(), static_cast<int>(shape_.rows), static_cast<int>(shape_.columns), tokens_);
  });
}

void Contest::add_rival(const CublasLt& cublaslt, LtKind kind, const std::string& name, Results& results) {
  constexpr const char* kNames[] = {"cuBLASLt int8", "cuBLASLt fp8", "cuBLASLt fp8, scales of rows"};
  const std::string entrant = kNames[static_cast<int>(kind)];
  if (!admits(entrant)) return;
  try {
    add_fastest(cublaslt.plan(kind, shape_.rows, shape_.columns, tokens_), kind, entrant);
  } catch (const Error& error) {
    results.write(Record().text("case", name).text("entrant", entrant).text("not_run", error.what()));
  }
}

void Contest::add_fastest(const std::shared_ptr<CublasLt::Plan>& plan, LtKind kind, const std::string& entrant) {
  const double bytes = static_cast<double>(shape_.rows * shape_.columns);
  const RivalKind numbers = kind == LtKind::kInt8 ? RivalKind::kInt8 : RivalKind::kFp8;
  const auto parts = std::make_shared<LtParts>(plan, gpu_, numbers, copies_for(bytes), shape_, tokens_);
  const auto multiply = [&](int candidate, int copy) {
    plan->multiply(candidate, parts->weights[static_cast<std::size_t>(copy)]->data(), parts->input.data(),
                   parts->output.data());
  };
  int best = 0;
  double least = HUGE_VAL;
  for (int candidate = 0; candidate < plan->candidates(); ++candidate) {
    multiply(candidate, 0);
    gpu_.wait();
    const Graph graph(gpu_, [&] { multiply(candidate, 0); });
    const double time = std::min(graph.milliseconds(), graph.milliseconds());
    if (time < least) best = candidate;
    least = std::min(least, time);
  }
  add(entrant, bytes, static_cast<int>(parts->weights.size()), parts, [&](int copy) { multiply(best, copy); });
}

void Contest::add_expanded(const Cublas& cublas, int bits, std::int64_t group) {
  const std::string name = fmt::format("expanded W{} g{} and cuBLAS float16", bits, group);
  if (!admits(name)) return;
  const cuda::Packed& packed = matrices_.get(shape_, bits, group);
  const auto parts = std::make_shared<ExpandedParts>(gpu_, packed, copies_for(size_of(packed)), shape_, tokens_);
  add(name, size_of(packed), parts->weights.copies(), parts, [&](int copy) {
    const cuda::ExpandCall call = {parts->weights.matrix(copy), nullptr, parts->expanded.data(), shape_.columns};
    const cuda::Launch launch = gpu_.launch();
    cuda::Library::call("expanding", gpu_.table().expand, cuda::NumberKind::kFloat16, &call, &launch);
    cublas.multiply(RivalKind::kFloat16, parts->expanded.data(), parts->input.data(), parts->output.data(),
                    static_cast<int>(shape_.rows), static_cast<int>(shape_.columns), tokens_);
  });
}

void Contest::run(int repetitions, const std::string& name, Results& results) {
  for (int i = -1; i < repetitions; ++i) {  // the first round warms up
    for (Entrant& entrant : entrants_) {
      const double microseconds = entrant.graph->milliseconds() * 1e3 / entrant.launches;
      if (i >= 0) entrant.microseconds.push_back(microseconds);
    }
  }
  for (Entrant& entrant : entrants_) {
    std::ranges::sort(entrant.microseconds);
    const double median = entrant.microseconds[entrant.microseconds.size() / 2];
    Record record;
    record.text("case", name)
        .text("entrant", entrant.name)
        .number("median_us", median)
        .number("least_us", entrant.microseconds.front())
        .number("most_us", entrant.microseconds.back())
        .number("repetitions", repetitions)
        .number("weight_gb_per_s", entrant.weight_bytes / median / 1e3)
        .number("tflops", 2.0 * static_cast<double>(shape_.rows * shape_.columns) * tokens_ / median / 1e6);
    results.write(record);
  }
}

}  // namespace lowbit::gpu_verify
