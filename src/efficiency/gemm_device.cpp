#include "efficiency/gemm_device.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "efficiency/clock.h"
#include "efficiency/gemm_operands.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/device_packed.h"
#include "lowbit/tensor/packed.h"

namespace lowbit {
namespace {

constexpr std::int64_t kMostColdTokens = 64;  // above these the product, not the memory, takes the time
constexpr std::int64_t kLaunches = 8;         // of a timed round, at least

struct Contender {
  GemmTiming timing;
  std::int64_t copies = 1;
  std::function<at::Tensor(std::int64_t copy)> run;
  std::vector<double> seconds;
};

// A number of the result is read, which waits for what was launched before.
void wait_for(const at::Tensor& result) { (void)result.flatten().narrow(0, 0, 1).cpu(); }

class DeviceBencher {
 public:
  DeviceBencher(const GemmBenchOptions& options, Progress& progress) : options_(options), progress_(progress) {}

  std::vector<GemmTiming> run() {
    std::vector<GemmTiming> timings;
    const auto task = progress_.start("measuring", 2 * static_cast<std::int64_t>(options_.tokens.size()), "shapes");
    for (const std::int64_t tokens : options_.tokens) {
      for (const bool cold : {false, true}) {
        task->advance();
        if (cold && tokens > kMostColdTokens) continue;
        contenders_.clear();
        add_library("LibTorch float32", DType::kFloat32, tokens, cold);
        add_library("LibTorch bfloat16", DType::kBFloat16, tokens, cold);
        for (const int bits : options_.bits) {
          for (const std::int64_t group : options_.groups) add_packed(bits, group, tokens, cold);
        }
        measure();
        for (Contender& contender : contenders_) timings.push_back(finished(contender));
      }
    }
    return timings;
  }

 private:
  void add(Contender contender, std::int64_t tokens, bool cold) {
    contender.timing.tokens = tokens;
    contender.timing.cold = cold;
    contender.timing.operations = 2.0 * static_cast<double>(tokens * options_.rows * options_.columns);
    contenders_.push_back(std::move(contender));
  }

  [[nodiscard]] at::Tensor input(std::int64_t tokens, DType type) const {
    return to_place(random_matrix(tokens, options_.columns, "bench/x"), type, options_.device);
  }

  void add_library(std::string name, DType type, std::int64_t tokens, bool cold) {
    const at::Tensor weight =
        to_place(random_matrix(options_.rows, options_.columns, "bench/weight"), type, options_.device);
    Contender contender;
    contender.timing.name = std::move(name);
    contender.timing.weight_bytes = static_cast<std::int64_t>(weight.nbytes());
    contender.copies = copies_of(contender.timing.weight_bytes, cold);
    std::vector<at::Tensor> weights;
    for (std::int64_t i = 0; i < contender.copies; ++i) weights.push_back(weight.clone());
    contender.run = [x = input(tokens, type), weights = std::move(weights)](std::int64_t copy) {
      return library_linear(x, weights[static_cast<std::size_t>(copy)]);
    };
    add(std::move(contender), tokens, cold);
  }

  void add_packed(int bits, std::int64_t group, std::int64_t tokens, bool cold) {
    const kernels::PackedWeight packed = random_weight(options_, bits, group);
    const auto weights = std::make_shared<std::vector<DeviceWeight>>();
    for (std::int64_t i = 0; i < copies_of(packed.bytes(), cold); ++i) weights->emplace_back(packed, options_.device);
    for (const auto arithmetic : {DeviceArithmetic::kInt8, DeviceArithmetic::kInt16, DeviceArithmetic::kBFloat16}) {
      const DType type = arithmetic == DeviceArithmetic::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
      Contender contender;
      contender.timing.name = product_name(arithmetic_name(arithmetic), bits, group);
      contender.timing.kernel = DeviceWeight::kernel_name(arithmetic);
      contender.timing.weight_bytes = weights->front().bytes();
      contender.copies = static_cast<std::int64_t>(weights->size());
      contender.run = [x = input(tokens, type), weights, arithmetic, type](std::int64_t copy) {
        return (*weights)[static_cast<std::size_t>(copy)].multiply(x, {}, arithmetic, type);
      };
      add(std::move(contender), tokens, cold);
    }
  }

  // In turn, so that what disturbs the device meets all alike. The first round warms up.
  void measure() {
    for (int repetition = -1; repetition < options_.repetitions; ++repetition) {
      for (Contender& contender : contenders_) {
        const std::int64_t launches = std::max(contender.copies, kLaunches);
        wait_for(contender.run(0));
        const double start = wall_seconds();
        for (std::int64_t i = 1; i < launches; ++i) (void)contender.run(i % contender.copies);
        wait_for(contender.run(0));
        if (repetition < 0) continue;
        contender.seconds.push_back((wall_seconds() - start) / static_cast<double>(launches));
      }
    }
  }

  static GemmTiming finished(Contender& contender) {
    std::ranges::sort(contender.seconds);
    contender.timing.seconds = {contender.seconds[contender.seconds.size() / 2], contender.seconds.front(),
                                contender.seconds.back()};
    return contender.timing;
  }

  const GemmBenchOptions& options_;
  Progress& progress_;
  std::vector<Contender> contenders_;
};

}  // namespace

std::vector<GemmTiming> time_device_products(const GemmBenchOptions& options, Progress& progress) {
  return DeviceBencher(options, progress).run();
}

}  // namespace lowbit
