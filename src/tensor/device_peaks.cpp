#include "lowbit/tensor/device_peaks.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/_int_mm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>

namespace c10 {
struct DeviceAllocator;  // older LibTorchs have none
}

namespace lowbit {
namespace {

constexpr int kCallsOfARound = 4;  // launched one behind the other, then waited for
constexpr double kMeasured = 0.2;  // seconds, a round at least
// Products are made larger until one takes so long that launching it does not count.
constexpr std::int64_t kLeastSize = 512;
constexpr std::int64_t kLargestSize = 8192;
constexpr double kLongEnough = 1e-3;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A number of the result is read, which waits for what was launched before.
void wait_for(const at::Tensor& result) { (void)result.flatten().narrow(0, 0, 1).cpu(); }

double least_seconds(const std::function<at::Tensor()>& call) {
  wait_for(call());
  double least = std::numeric_limits<double>::infinity();
  const double begin = seconds_now();
  do {
    const double start = seconds_now();
    for (int i = 1; i < kCallsOfARound; ++i) (void)call();
    wait_for(call());
    least = std::min(least, (seconds_now() - start) / kCallsOfARound);
  } while (seconds_now() - begin < kMeasured);
  return least;
}

at::Tensor random_matrix(at::Device device, std::int64_t size, at::ScalarType type) {
  // Of a million numbers, repeated: drawing them all on the CPU would take longer than the measurement.
  const std::int64_t drawn = std::min(size * size, std::int64_t{1} << 20);
  at::Tensor numbers = at::empty({drawn}, at::kFloat).uniform_(-100, 100);
  if (type == at::kChar) numbers = numbers.round();
  return numbers.to(type).repeat({size * size / drawn}).view({size, size}).to(device);
}

double product_rate(at::Device device, at::ScalarType type,
                    at::Tensor (*product)(const at::Tensor&, const at::Tensor&)) {
  double rate = 0;
  for (std::int64_t size = kLeastSize; size <= kLargestSize; size *= 2) {
    const at::Tensor left = random_matrix(device, size, type);
    const at::Tensor right = random_matrix(device, size, type);
    const double seconds = least_seconds([&] { return product(left, right.t()); });
    rate = std::max(rate, 2.0 * std::pow(static_cast<double>(size), 3) / seconds);
    if (seconds >= kLongEnough) break;
  }
  return rate;
}

template <typename Counting>
std::int64_t peak_of(at::Device device) {
  if constexpr (requires { sizeof(Counting); }) {
    auto* allocator = dynamic_cast<Counting*>(c10::GetAllocator(device.type()));
    constexpr auto kTotal = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    if (allocator != nullptr) return allocator->getDeviceStats(device.index()).reserved_bytes[kTotal].peak;
  }
  return 0;
}

}  // namespace

double copy_bandwidth(at::Device device, std::int64_t bytes) {
  const at::TensorOptions options = at::TensorOptions(at::kByte).device(device);
  const at::Tensor from = at::empty({bytes}, options).fill_(1);
  at::Tensor to = at::empty({bytes}, options);
  return 2.0 * static_cast<double>(bytes) / least_seconds([&] { return to.copy_(from); });
}

std::vector<DeviceRate> product_rates(at::Device device) {
  using Product = at::Tensor (*)(const at::Tensor&, const at::Tensor&);
  const Product of_floats = [](const at::Tensor& a, const at::Tensor& b) { return at::mm(a, b); };
  const Product of_bytes = [](const at::Tensor& a, const at::Tensor& b) { return at::_int_mm(a, b); };
  struct Kind {
    const char* name;
    at::ScalarType type;
    Product product;
  };
  std::vector<DeviceRate> rates;
  for (const Kind& kind : {Kind{"float32", at::kFloat, of_floats}, Kind{"bfloat16", at::kBFloat16, of_floats},
                           Kind{"int8", at::kChar, of_bytes}}) {
    try {
      rates.push_back({kind.name, product_rate(device, kind.type, kind.product)});
    } catch (const c10::NotImplementedError&) {
      // LibTorch has none for this device.
    }
  }
  return rates;
}

std::int64_t peak_device_memory(at::Device device) { return peak_of<c10::DeviceAllocator>(device); }

}  // namespace lowbit
