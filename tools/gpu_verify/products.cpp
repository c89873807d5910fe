#include "products.h"

namespace lowbit::gpu_verify {

namespace {

std::size_t area(std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a) * static_cast<std::size_t>(b); }

// NaN in every number.
template <typename T>
void fill_with_nan(const Gpu& gpu, const Buffer<T>& buffer, std::size_t count) {
  cuda::Library::call("filling memory", gpu.table().fill, buffer.data(), 0xFF, count * sizeof(T), gpu.stream());
}

bool is_for_hopper(cuda::HalfKernel kernel) {
  return kernel == cuda::HalfKernel::kHopper || kernel == cuda::HalfKernel::kHopperRounded ||
         kernel == cuda::HalfKernel::kHopperRoundedTurns;
}

bool is_for_hopper(IntegerKernel kernel) {
  return kernel == IntegerKernel::kHopper || kernel == IntegerKernel::kHopperTurns;
}

int hopper_block(cuda::HalfKernel kernel, int tokens) {
  return kernel == cuda::HalfKernel::kHopper ? cuda::hopper_tokens(tokens) : cuda::kHopperRoundedTokens;
}

std::size_t arranged_numbers(const Weights& weights, int tokens, int places, cuda::HalfKernel kernel) {
  if (is_for_hopper(kernel)) {
    return static_cast<std::size_t>(cuda::laid_out_size(weights.shape(), tokens, hopper_block(kernel, tokens)));
  }
  return weights.sources(0) == nullptr ? 0 : area(tokens, places);
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
                       const std::vector<std::uint16_t>& input, int tokens, cuda::HalfKernel kernel,
                       cuda::NumberKind output_kind)
    : gpu_(gpu),
      weights_(weights),
      number_(number),
      tokens_(tokens),
      places_(weights.sources(0) == nullptr ? weights.shape().columns : weights.shape().steps * kernels::kStepColumns),
      kernel_(kernel),
      output_kind_(output_kind),
      input_(gpu, input),
      arranged_(gpu, arranged_numbers(weights, tokens, places_, kernel)),
      output_(gpu, area(tokens, weights.shape().rows)) {
  const int multiprocessors = gpu.facts().multiprocessors;
  if (is_for_hopper(kernel) || kernel == cuda::HalfKernel::kHopperSliced) {
    force_splits(0);
  } else {
    const bool skinny = kernel == cuda::HalfKernel::kSkinny;
    force_splits(skinny ? cuda::schedule_skinny(weights.described(), tokens, multiprocessors).splits : 1);
  }
}

void HalfRunner::deal(int workers) {
  const int multiprocessors = gpu_.facts().multiprocessors;
  const cuda::HopperSchedule schedule =
      kernel_ == cuda::HalfKernel::kHopper
          ? cuda::HopperSchedule::exact(weights_.shape(), tokens_, multiprocessors, workers)
          : cuda::HopperSchedule::rounded(weights_.shape(), tokens_, multiprocessors, workers);
  stream_ = schedule.stream;
  partials_ = std::make_unique<Buffer<float>>(gpu_, static_cast<std::size_t>(schedule.sums));
  arrivals_ = std::make_unique<Buffer<std::uint32_t>>(
      gpu_, std::vector<std::uint32_t>(static_cast<std::size_t>(schedule.arrivals), 0));
}

// Counters for every block there may be: a tile of rows, and eight tokens.
void HalfRunner::force_splits(int splits) {
  if (is_for_hopper(kernel_)) return deal(splits);
  if (kernel_ == cuda::HalfKernel::kHopperSliced) {
    slices_ = cuda::choose_slices(weights_.shape(), tokens_, gpu_.clusters(), splits);
    splits = 1;
  }
  splits_ = splits;
  const std::size_t outputs = area(tokens_, weights_.shape().rows);
  const std::size_t blocks = area(cuda::tiles_of(weights_.shape()), (tokens_ + 7) / 8);
  partials_ = std::make_unique<Buffer<float>>(gpu_, splits == 1 ? 0 : outputs * static_cast<std::size_t>(splits));
  arrivals_ = std::make_unique<Buffer<std::uint32_t>>(gpu_, std::vector<std::uint32_t>(blocks, 0));
}

void HalfRunner::arrange(int copy) const {
  const cuda::ArrangeCall call = {
      input_.data(), weights_.shape().columns, tokens_, weights_.shape().columns, weights_.sources(copy),
      places_,       arranged_.data()};
  const cuda::Launch launch = gpu_.launch();
  cuda::Library::call("arranging activations", gpu_.table().arrange, &call, &launch);
}

void HalfRunner::arrange_operands(int copy, bool dependent) const {
  const cuda::Matrix& shape = weights_.shape();
  const cuda::OperandCall call = {input_.data(),
                                  shape.columns,
                                  tokens_,
                                  shape.columns,
                                  weights_.sources(copy),
                                  shape.steps,
                                  hopper_block(kernel_, tokens_),
                                  arranged_.data()};
  const cuda::Launch launch = gpu_.launch(dependent);
  cuda::Library::call("arranging operands", gpu_.table().arrange_operands, &call, &launch);
}

void HalfRunner::run(int copy, bool dependent) const {
  const bool for_hopper = is_for_hopper(kernel_);
  const bool moved = for_hopper || weights_.sources(copy) != nullptr;
  if (for_hopper) {
    arrange_operands(copy, dependent);
  } else if (moved) {
    arrange(copy);
  }
  const cuda::Matrix& shape = weights_.shape();
  const cuda::HalfProduct call = {weights_.matrix(copy),
                                  moved ? arranged_.data() : input_.data(),
                                  places_,
                                  places_,
                                  tokens_,
                                  places_ % 8 == 0,
                                  {output_.data(), shape.rows, output_kind_, nullptr, nullptr, 0},
                                  splits_,
                                  partials_->data(),
                                  arrivals_->data(),
                                  stream_,
                                  slices_};
  const cuda::Launch launch = gpu_.launch(dependent);
  cuda::Library::call("multiplying", gpu_.table().half_product, kernel_, number_, &call, &launch);
}

void HalfRunner::poison() const { fill_with_nan(gpu_, output_, area(tokens_, weights_.shape().rows)); }

IntegerRunner::IntegerRunner(const Gpu& gpu, const Weights& weights, int planes, const std::vector<float>& input,
                             int tokens, IntegerKernel kernel, cuda::NumberKind output_kind)
    : gpu_(gpu),
      weights_(weights),
      planes_(planes),
      tokens_(tokens),
      kernel_(kernel),
      output_kind_(output_kind),
      input_(gpu, input),
      schedule_(is_for_hopper(kernel)
                    ? cuda::HopperSchedule::bytes(weights.shape(), tokens, gpu.facts().multiprocessors)
                    : cuda::HopperSchedule{}),
      block_tokens_(schedule_.block_tokens),
      bytes_(gpu, is_for_hopper(kernel)
                      ? static_cast<std::size_t>(cuda::laid_out_size(weights.shape(), tokens, block_tokens_))
                      : area(planes, tokens) * area(weights.shape().steps, kernels::kStepColumns)),
      totals_(gpu, static_cast<std::size_t>(tokens)),
      partials_(gpu, static_cast<std::size_t>(schedule_.sums)),
      arrivals_(gpu, std::vector<std::uint32_t>(static_cast<std::size_t>(schedule_.arrivals), 0)),
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
                                   scales_.data(),    sums_.data(),
                                   block_tokens_,     totals_.data()};
  const cuda::Launch launch = gpu_.launch(dependent);
  cuda::Library::call("rounding activations", gpu_.table().quantize, planes_, &call, &launch);
}

void IntegerRunner::multiply(int copy, bool dependent) const {
  const bool for_hopper = is_for_hopper(kernel_);
  const cuda::IntegerProduct call = {weights_.matrix(copy),
                                     bytes_.data(),
                                     scales_.data(),
                                     for_hopper ? totals_.data() : sums_.data(),
                                     tokens_,
                                     {output_.data(), weights_.shape().rows, output_kind_, nullptr, nullptr, 0},
                                     schedule_.stream,
                                     partials_.data(),
                                     arrivals_.data()};
  const cuda::Launch launch = gpu_.launch(dependent);
  constexpr const char* kAction = "multiplying integers";
  if (for_hopper) {
    const auto by = kernel_ == IntegerKernel::kHopper ? cuda::ByteKernel::kTogether : cuda::ByteKernel::kTurns;
    cuda::Library::call(kAction, gpu_.table().hopper_bytes, by, &call, &launch);
  } else if (kernel_ == IntegerKernel::kTiled) {
    cuda::Library::call(kAction, gpu_.table().integer_tiles, &call, &launch);
  } else {
    cuda::Library::call(kAction, gpu_.table().integer_product, planes_, &call, &launch);
  }
}

void IntegerRunner::poison() const { fill_with_nan(gpu_, output_, area(tokens_, weights_.shape().rows)); }

Float8Runner::Float8Runner(const Gpu& gpu, const Weights& weights, cuda::NumberKind kind, int tokens)
    : gpu_(gpu),
      weights_(weights),
      kind_(kind),
      tokens_(tokens),
      schedule_(cuda::HopperSchedule::float8(weights.shape(), tokens, gpu.facts().multiprocessors)),
      codes_(gpu, static_cast<std::size_t>(cuda::laid_out_size(weights.shape(), tokens, schedule_.block_tokens))),
      scales_(gpu, static_cast<std::size_t>(tokens)),
      partials_(gpu, static_cast<std::size_t>(schedule_.sums)),
      arrivals_(gpu, std::vector<std::uint32_t>(static_cast<std::size_t>(schedule_.arrivals), 0)),
      output_(gpu, area(tokens, weights.shape().rows)) {}

Float8Runner::Float8Runner(const Gpu& gpu, const Weights& weights, const std::vector<float>& input, int tokens)
    : Float8Runner(gpu, weights, cuda::NumberKind::kFloat32, tokens) {
  wide_ = std::make_unique<Buffer<float>>(gpu, input);
}

Float8Runner::Float8Runner(const Gpu& gpu, const Weights& weights, const std::vector<std::uint16_t>& input, int tokens)
    : Float8Runner(gpu, weights, cuda::NumberKind::kBFloat16, tokens) {
  narrow_ = std::make_unique<Buffer<std::uint16_t>>(gpu, input);
}

void Float8Runner::round(int copy, bool dependent) const {
  const cuda::Matrix& shape = weights_.shape();
  const cuda::RoundFloat8Call call = {{wide_ ? static_cast<const void*>(wide_->data()) : narrow_->data(), kind_,
                                       shape.columns, tokens_, shape.columns, weights_.sources(copy), shape.steps},
                                      scales_.data(),
                                      nullptr,
                                      codes_.data(),
                                      schedule_.block_tokens};
  const cuda::Launch launch = gpu_.launch(dependent);
  cuda::Library::call("rounding activations to E4M3", gpu_.table().round_float8, &call, &launch);
}

void Float8Runner::multiply(int copy, bool dependent) const {
  const cuda::Float8Product call = {weights_.matrix(copy),
                                    codes_.data(),
                                    scales_.data(),
                                    tokens_,
                                    {output_.data(), weights_.shape().rows, kind_, nullptr, nullptr, 0},
                                    schedule_.stream,
                                    partials_.data(),
                                    arrivals_.data()};
  const cuda::Launch launch = gpu_.launch(dependent);
  cuda::Library::call("multiplying E4M3", gpu_.table().hopper_float8, &call, &launch);
}

void Float8Runner::poison() const { fill_with_nan(gpu_, output_, area(tokens_, weights_.shape().rows)); }

}  // namespace lowbit::gpu_verify
