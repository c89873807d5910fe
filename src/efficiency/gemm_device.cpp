#include "efficiency/gemm_device.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "efficiency/clock.h"
#include "efficiency/gemm_contest.h"
#include "efficiency/gemm_operands.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/device_packed.h"
#include "lowbit/tensor/packed.h"

namespace lowbit {
namespace {

constexpr std::int64_t kMostColdTokens = 64;  // above these the product, not the memory, takes the time
constexpr std::int64_t kLaunches = 8;         // of a timed round, at least

// A number of the result is read, which waits for what was launched before.
void wait_for(const at::Tensor& result) { (void)result.flatten().narrow(0, 0, 1).cpu(); }

class DeviceContest : public GemmContest {
 public:
  DeviceContest(const GemmBenchOptions& options, Progress& progress)
      : GemmContest(options, progress, kMostColdTokens) {}

 private:
  void add_libraries(std::int64_t tokens, bool cold) override {
    const at::Tensor weight = random_matrix(options().rows, options().columns, "bench/weight");
    for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
      add_library(fmt::format("LibTorch {}", dtype_name(type)), std::string(dtype_name(type)), input(tokens, type),
                  to_place(weight, type, options().device), tokens, cold);
    }
  }

  [[nodiscard]] at::Tensor input(std::int64_t tokens, DType type) const {
    return to_place(random_matrix(tokens, options().columns, "bench/x"), type, options().device);
  }

  void add_packed(int bits, std::int64_t group, std::int64_t tokens, bool cold) override {
    const kernels::PackedWeight packed = random_weight(options(), bits, group);
    const auto weights = std::make_shared<std::vector<DeviceWeight>>();
    for (std::int64_t i = 0; i < copies_of(packed.bytes(), cold); ++i) weights->emplace_back(packed, options().device);
    for (const auto arithmetic : {DeviceArithmetic::kInt8, DeviceArithmetic::kInt16, DeviceArithmetic::kBFloat16}) {
      const DType type = arithmetic == DeviceArithmetic::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
      Contender contender;
      contender.timing.name = product_name(arithmetic_name(arithmetic), bits, group);
      contender.timing.arithmetic = arithmetic_name(arithmetic);
      contender.timing.kernel = weights->front().kernel_name(arithmetic, tokens);
      contender.timing.weight_bytes = weights->front().bytes();
      contender.copies = static_cast<std::int64_t>(weights->size());
      contender.run = [x = input(tokens, type), weights, arithmetic, type](std::int64_t copy) {
        return (*weights)[static_cast<std::size_t>(copy)].multiply(x, {}, arithmetic, type);
      };
      add(std::move(contender), tokens, cold);
    }
  }

  // What it could reach is asked of the device before (`MachinePeaks`).
  Rates probe(bool /*cold*/) override { return {}; }

  Seconds time(const Contender& contender, int /*round*/) override {
    const std::int64_t launches = std::max(contender.copies, kLaunches);
    wait_for(contender.run(0));
    const double start = wall_seconds();
    for (std::int64_t i = 1; i < launches; ++i) (void)contender.run(i % contender.copies);
    wait_for(contender.run(0));
    return {(wall_seconds() - start) / static_cast<double>(launches), 0};
  }
};

}  // namespace

std::vector<GemmTiming> time_device_products(const GemmBenchOptions& options, Progress& progress) {
  return DeviceContest(options, progress).run();
}

}  // namespace lowbit
