#pragma once

#include <memory>

#include "device.h"
#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/schedule.h"

namespace lowbit::gpu_verify {

/// A packed matrix on the GPU, in as many copies as it takes to fill more than its cache.
class Weights {
 public:
  Weights(const Gpu& gpu, const cuda::Packed& packed, int copies);
  [[nodiscard]] int copies() const { return static_cast<int>(memory_.size()); }
  [[nodiscard]] cuda::Matrix matrix(int copy) const { return packed_.at(at(copy)); }
  [[nodiscard]] const std::int32_t* sources(int copy) const { return packed_.sources_at(at(copy)); }
  [[nodiscard]] const cuda::Matrix& shape() const { return packed_.shape; }
  [[nodiscard]] cuda::Matrix described() const { return packed_.described(); }

 private:
  [[nodiscard]] const std::byte* at(int copy) const { return memory_[static_cast<std::size_t>(copy)]->data(); }
  cuda::Packed packed_;  ///< without its bytes
  std::vector<std::unique_ptr<cuda::DeviceMemory>> memory_;
};

/// 16-bit activations times a packed matrix by one kernel, with the memory that it needs. `output` is of float32.
class HalfRunner {
 public:
  HalfRunner(const Gpu& gpu, const Weights& weights, cuda::NumberKind number, const std::vector<std::uint16_t>& input,
             int tokens, cuda::HalfKernel kernel, cuda::NumberKind output_kind = cuda::NumberKind::kFloat32);
  void run(int copy, bool dependent = false) const;
  /// Overrules the schedule, for tests of joining; of Hopper's kernels the number of workers or slices.
  void force_splits(int splits);
  void poison() const;
  [[nodiscard]] std::vector<float> output() const { return output_.read(); }

 private:
  void deal(int workers);  ///< among as many as the schedule has where none are asked for
  void arrange(int copy) const;
  void arrange_operands(int copy, bool dependent) const;
  const Gpu& gpu_;
  const Weights& weights_;
  cuda::NumberKind number_;
  int tokens_;
  int places_;  ///< of the input as the kernel sees it
  cuda::HalfKernel kernel_;
  cuda::NumberKind output_kind_;
  int splits_ = 1;
  cuda::Stream stream_ = {};
  cuda::Slices slices_ = {};
  Buffer<std::uint16_t> input_;
  Buffer<std::uint16_t> arranged_;
  Buffer<float> output_;
  std::unique_ptr<Buffer<float>> partials_;
  std::unique_ptr<Buffer<std::uint32_t>> arrivals_;
};

enum class IntegerKernel { kPlain, kTiled, kHopper, kHopperTurns };

/// float32 activations rounded to integers, times a packed matrix. `output` is of float32.
class IntegerRunner {
 public:
  IntegerRunner(const Gpu& gpu, const Weights& weights, int planes, const std::vector<float>& input, int tokens,
                IntegerKernel kernel = IntegerKernel::kPlain,
                cuda::NumberKind output_kind = cuda::NumberKind::kFloat32);
  void quantize(int copy, bool dependent = false) const;
  void multiply(int copy, bool dependent = false) const;
  void poison() const;
  [[nodiscard]] std::vector<float> output() const { return output_.read(); }

 private:
  [[nodiscard]] std::size_t runs() const;
  const Gpu& gpu_;
  const Weights& weights_;
  int planes_;
  int tokens_;
  IntegerKernel kernel_;
  cuda::NumberKind output_kind_;
  Buffer<float> input_;
  cuda::HopperSchedule schedule_;
  int block_tokens_;  ///< zero but for Hopper
  Buffer<std::int8_t> bytes_;
  Buffer<std::int32_t> totals_;
  Buffer<std::int32_t> partials_;
  Buffer<std::uint32_t> arrivals_;
  Buffer<float> scales_;
  Buffer<std::int32_t> sums_;
  Buffer<float> output_;
};

/// Activations rounded to E4M3, times a packed matrix of E4M3 by Hopper's kernel of such numbers. float32 comes and
/// goes as float32, bfloat16 as bfloat16.
class Float8Runner {
 public:
  Float8Runner(const Gpu& gpu, const Weights& weights, const std::vector<float>& input, int tokens);
  Float8Runner(const Gpu& gpu, const Weights& weights, const std::vector<std::uint16_t>& input, int tokens);
  void round(int copy, bool dependent = false) const;
  void multiply(int copy, bool dependent = false) const;
  void poison() const;
  /// Of float32.
  [[nodiscard]] std::vector<float> output() const { return output_.read(); }

 private:
  Float8Runner(const Gpu& gpu, const Weights& weights, cuda::NumberKind kind, int tokens);
  const Gpu& gpu_;
  const Weights& weights_;
  cuda::NumberKind kind_;
  int tokens_;
  std::unique_ptr<Buffer<float>> wide_;
  std::unique_ptr<Buffer<std::uint16_t>> narrow_;
  cuda::HopperSchedule schedule_;
  Buffer<std::uint8_t> codes_;
  Buffer<float> scales_;
  Buffer<float> partials_;
  Buffer<std::uint32_t> arrivals_;
  Buffer<float> output_;
};

}  // namespace lowbit::gpu_verify
