#include "products.h"

namespace lowbit::gpu_verify {

namespace {

std::size_t area(std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); }

// NaN in every number.
template <typename T>
void fill_with_nan(const Gpu& gpu, const Buffer<T>& buffer, std::size_t count) {
  cuda::Report report{};
  Gpu::check(gpu.table().fill(buffer.data(), 0xFF, count * sizeof(T), gpu.stream(), &report), report, "filling memory");
}

}  // namespace

Weights::Weights(const Gpu& gpu, const cuda::Packed& packed, int copies) : packed_(packed) {
  for (int i = 0; i < copies; ++i) {
    memory_.push_back(std::make_unique<cuda::DeviceMemory>(gpu.library(), packed.bytes.size()));
    memory_.back()->copy_from_host(packed.bytes.data());
  }
  packed_.bytes = {};
}

HalfRunner::HalfRunner(const Gpu& gpu, const Weights& weights, cuda::NumberKind number,
                       const std::vector<std::uint16_t>& input, int tokens)
    : gpu_(gpu),
      weights_(weights),
      number_(number),
      tokens_(tokens),
      places_(weights.sources(0) == nullptr ? weights.shape().columns : weights.shape().steps * kernels::kStepColumns),
      schedule_(cuda::schedule_skinny(weights.described(), tokens, gpu.facts().multiprocessors)),
      input_(gpu, input),
      arranged_(gpu, weights.sources(0) == nullptr ? 0 : area(tokens, places_)),
      output_(gpu, area(tokens, weights.shape().rows)) {
  force_splits(schedule_.splits);
}

void HalfRunner::force_splits(int splits) {
  schedule_.splits = splits;
  partials_ = std::make_unique<Buffer<float>>(gpu_, schedule_.partial_bytes(weights_.shape(), tokens_) / sizeof(float));
  arrivals_ = std::make_unique<Buffer<std::uint32_t>>(
      gpu_, std::vector<std::uint32_t>(schedule_.arrival_bytes() / sizeof(std::uint32_t), 0));
}

void HalfRunner::arrange(int copy) const {
  const cuda::ArrangeCall call = {
      input_.data(), weights_.shape().columns, tokens_, weights_.shape().columns, weights_.sources(copy),
      places_,       arranged_.data()};
  const cuda::Launch launch = gpu_.launch();
  cuda::Report report{};
  Gpu::check(gpu_.table().arrange(&call, &launch, &report), report, "arranging activations");
}

void HalfRunner::run(int copy, cuda::HalfKernel kernel, bool dependent) const {
  const bool moved = weights_.sources(copy) != nullptr;
  if (moved) arrange(copy);
  const cuda::Matrix& shape = weights_.shape();
  const cuda::HalfProduct call = {weights_.matrix(copy),
                                  moved ? arranged_.data() : input_.data(),
                                  places_,
                                  places_,
                                  tokens_,
                                  places_ % 8 == 0,
                                  {output_.data(), shape.rows, cuda::NumberKind::kFloat32, nullptr, nullptr, 0},
                                  kernel == cuda::HalfKernel::kTiled ? 1 : schedule_.splits,
                                  partials_->data(),
                                  arrivals_->data()};
  const cuda::Launch launch = gpu_.launch(dependent);
  cuda::Report report{};
  Gpu::check(gpu_.table().half_product(kernel, number_, &call, &launch, &report), report, "multiplying");
}

void HalfRunner::poison() const { fill_with_nan(gpu_, output_, area(tokens_, weights_.shape().rows)); }

IntegerRunner::IntegerRunner(const Gpu& gpu, const Weights& weights, int planes, const std::vector<float>& input,
                             int tokens)
    : gpu_(gpu),
      weights_(weights),
      planes_(planes),
      tokens_(tokens),
      input_(gpu, input),
      bytes_(gpu, area(planes, tokens) * area(weights.shape().steps, kernels::kStepColumns)),
      scales_(gpu, planes == 1 ? area(tokens, 1) : static_cast<std::size_t>(tokens) * runs()),
      sums_(gpu, static_cast<std::size_t>(tokens) * runs()),
      output_(gpu, area(tokens, weights.shape().rows)) {}

std::size_t IntegerRunner::runs() const {
  return static_cast<std::size_t>(cuda::runs_of(weights_.shape().groups, weights_.shape().group_steps));
}

void IntegerRunner::quantize(int copy, bool dependent) const {
  const cuda::Matrix& shape = weights_.shape();
  const cuda::QuantizeCall call = {input_.data(),     cuda::NumberKind::kFloat32,
                                   shape.columns,     tokens_,
                                   shape.columns,     weights_.sources(copy),
                                   shape.steps,       shape.groups,
                                   shape.group_steps, bytes_.data(),
                                   scales_.data(),    sums_.data()};
  const cuda::Launch launch = gpu_.launch(dependent);
  cuda::Report report{};
  Gpu::check(gpu_.table().quantize(planes_, &call, &launch, &report), report, "rounding activations");
}

void IntegerRunner::multiply(int copy, bool dependent) const {
  const cuda::IntegerProduct call = {
      weights_.matrix(copy),
      bytes_.data(),
      scales_.data(),
      sums_.data(),
      tokens_,
      {output_.data(), weights_.shape().rows, cuda::NumberKind::kFloat32, nullptr, nullptr, 0}};
  const cuda::Launch launch = gpu_.launch(dependent);
  cuda::Report report{};
  Gpu::check(gpu_.table().integer_product(planes_, &call, &launch, &report), report, "multiplying integers");
}

void IntegerRunner::poison() const { fill_with_nan(gpu_, output_, area(tokens_, weights_.shape().rows)); }

}  // namespace lowbit::gpu_verify
