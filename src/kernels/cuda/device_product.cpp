#include "kernels/cuda/device_product.h"

#include <utility>

#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/runs.h"
#include "kernels/cuda/schedule.h"
#include "kernels/cuda/workspace.h"
#include "lowbit/base/error.h"

namespace lowbit::kernels::cuda {

namespace {

/// Where rounded activations go, and how `HopperBytes` has them.
struct Rounded {
  std::int8_t* bytes;
  float* scales;
  std::int32_t* sums;
};
struct LaidOut {
  std::int32_t block_tokens = 0;
  std::int32_t* totals = nullptr;
};

struct IntegerSpace : Rounded {
  IntegerSpace(Parts& parts, int planes, std::int64_t tokens, std::int64_t places, std::int64_t runs)
      : Rounded{parts.take<std::int8_t>(planes * tokens * places),
                parts.take<float>(planes == 1 ? tokens : tokens * runs), parts.take<std::int32_t>(tokens * runs)} {}
};

/// What Hopper's kernels need: activations laid out, and where the sums of shared tiles wait.
template <typename Operand, typename Sum>
struct HopperSpace {
  Operand* operands;
  Sum* sums;
  std::uint32_t* arrivals;
  HopperSpace(Parts& parts, const Matrix& shape, std::int32_t tokens, const HopperSchedule& schedule)
      : operands(parts.take<Operand>(laid_out_size(shape, tokens, schedule.block_tokens))),
        sums(parts.take<Sum>(schedule.sums)),
        arrivals(parts.take<std::uint32_t>(schedule.arrivals)) {}
};

struct HopperBytesSpace : HopperSpace<std::int8_t, std::int32_t> {
  float* scales;
  std::int32_t* totals;
  HopperBytesSpace(Parts& parts, const Matrix& shape, std::int32_t tokens, const HopperSchedule& schedule)
      : HopperSpace(parts, shape, tokens, schedule),
        scales(parts.take<float>(tokens)),
        totals(parts.take<std::int32_t>(tokens)) {}
};

SkinnySpace take_skinny(Parts& parts, const SkinnySizes& sizes) {
  return {parts.take<std::uint16_t>(sizes.arranged), parts.take<float>(sizes.partials),
          parts.take<std::uint32_t>(sizes.arrivals)};
}

HopperClusters count_clusters(const Library& library, int device) {
  HopperClusters result{};
  Library::call("choosing the GPU", library.table().use_device, device);
  Library::call("counting clusters of blocks", library.table().count_clusters, &result);
  return result;
}

// Blocks count from zero who has arrived.
void clear_arrivals(const Table& table, std::uint32_t* arrivals, std::int64_t count, void* stream) {
  if (count == 0) return;
  Library::call("clearing counters", table.fill, arrivals, 0, static_cast<std::size_t>(count) * sizeof(std::uint32_t),
                stream);
}

void round_activations(const Table& table, const Packed& layout, int planes, const DeviceCall& call, const Rounded& to,
                       const LaidOut& laid_out = {}) {
  const Matrix& shape = layout.shape;
  const QuantizeCall quantize = {call.input,
                                 call.input_kind,
                                 shape.columns,
                                 call.tokens,
                                 shape.columns,
                                 layout.sources_at(call.weight),
                                 shape.steps,
                                 shape.groups,
                                 shape.group_steps,
                                 to.bytes,
                                 to.scales,
                                 to.sums,
                                 laid_out.block_tokens,
                                 laid_out.totals};
  const Launch launch = {call.stream, 0};
  Library::call("rounding activations", table.quantize, planes, &quantize, &launch);
}

void multiply_halves(const Table& table, HalfKernel kernel, NumberKind kind, const HalfProduct& product,
                     const Launch& launch) {
  Library::call("multiplying 16-bit activations", table.half_product, kernel, kind, &product, &launch);
}

}  // namespace

DeviceProduct::DeviceProduct(Library library, int device, const Packed& packed)
    : library_(library),
      device_(device),
      multiprocessors_(library_.require_device(device).multiprocessors),
      clusters_(count_clusters(library_, device)) {
  layout_.shape = packed.shape;
  layout_.zero_offset = packed.zero_offset;
  layout_.scale_offset = packed.scale_offset;
  layout_.source_offset = packed.source_offset;
  layout_.has_zeros = packed.has_zeros;
  layout_.table_offset = packed.table_offset;
  layout_.has_sources = packed.has_sources;
  layout_.has_table = packed.has_table;
}

std::int64_t DeviceProduct::runs() const { return runs_of(layout_.shape.groups, layout_.shape.group_steps); }
std::int64_t DeviceProduct::places() const { return std::int64_t{layout_.shape.steps} * kStepColumns; }

const Table& DeviceProduct::table() const {
  Library::call("choosing the GPU", library_.table().use_device, device_);
  return library_.table();
}

std::vector<RouteStart> DeviceProduct::routes(DeviceArithmetic arithmetic) const {
  return routes_of(layout_, arithmetic, clusters_);
}

std::int64_t DeviceProduct::workspace_bytes(Route route, DeviceArithmetic arithmetic, std::int32_t tokens) const {
  Parts parts(nullptr);
  if (route == Route::kSkinny) {
    (void)take_skinny(parts, skinny_sizes(tokens));
  } else if (route == Route::kHopperSliced) {
    (void)parts.take<std::uint16_t>(arranged_numbers(tokens));
  } else if (route == Route::kHopper || route == Route::kHopperRounded) {
    (void)HopperSpace<std::uint16_t, float>(parts, layout_.shape, tokens, hopper_schedule(route, tokens));
  } else if (route == Route::kHopperBytes) {
    (void)HopperBytesSpace(parts, layout_.shape, tokens, hopper_schedule(route, tokens));
  } else if (route == Route::kIntegers) {
    (void)IntegerSpace(parts, arithmetic == DeviceArithmetic::kInt8 ? 1 : 2, tokens, places(), runs());
  }
  return parts.used();
}

void DeviceProduct::multiply(Route route, DeviceArithmetic arithmetic, const DeviceCall& call) const {
  if (call.tokens == 0) return;
  if (arithmetic == DeviceArithmetic::kHalf && call.input_kind == NumberKind::kFloat32) {
    fail(ErrorCode::kInternal, "a product of 16-bit activations was given float32");
  }
  if (arithmetic != DeviceArithmetic::kHalf && layout_.has_table) {
    fail(ErrorCode::kInternal, "a weight with a table of numbers has no product of integers");
  }
  switch (route) {
    case Route::kIntegers: return multiply_integers(arithmetic == DeviceArithmetic::kInt8 ? 1 : 2, call);
    case Route::kSkinny: return multiply_skinny(call);
    case Route::kHopperSliced: return multiply_sliced(call);
    case Route::kHopper:
    case Route::kHopperRounded: return multiply_hopper(route, call);
    case Route::kHopperBytes: return multiply_hopper_bytes(call);
    case Route::kExpandedHalves:
    case Route::kExpandedBytes: break;
  }
  fail(ErrorCode::kInternal, "'{}' is no product of these kernels alone", route_name(route, arithmetic));
}

void DeviceProduct::multiply_integers(int planes, const DeviceCall& call) const {
  const Matrix matrix = layout_.at(call.weight);
  Parts parts(call.workspace);
  const IntegerSpace space(parts, planes, call.tokens, places(), runs());
  const Table& table = this->table();
  round_activations(table, layout_, planes, call, space);
  const IntegerProduct product = {matrix,       space.bytes,
                                  space.scales, space.sums,
                                  call.tokens,  {call.output, matrix.rows, call.output_kind, call.bias, nullptr, 0}};
  const Launch launch = {call.stream, 0};
  Library::call("multiplying integers", table.integer_product, planes, &product, &launch);
}

void DeviceProduct::multiply_hopper_bytes(const DeviceCall& call) const {
  const Matrix matrix = layout_.at(call.weight);
  Parts parts(call.workspace);
  const HopperSchedule schedule = hopper_schedule(Route::kHopperBytes, call.tokens);
  const HopperBytesSpace space(parts, matrix, call.tokens, schedule);
  const Table& table = this->table();
  clear_arrivals(table, space.arrivals, schedule.arrivals, call.stream);
  round_activations(table, layout_, 1, call, {space.operands, space.scales, nullptr},
                    {schedule.block_tokens, space.totals});
  const IntegerProduct product = {
      matrix,          space.operands, space.scales,
      space.totals,    call.tokens,    {call.output, matrix.rows, call.output_kind, call.bias, nullptr, 0},
      schedule.stream, space.sums,     space.arrivals};
  const Launch launch = {call.stream, 0};
  Library::call("multiplying integers", table.hopper_bytes, ByteKernel::kTogether, &product, &launch);
}

SkinnySizes DeviceProduct::skinny_sizes(std::int32_t tokens) const {
  return skinny_sizes(tokens, choose_splits(layout_.shape, multiprocessors_));
}

SkinnySizes DeviceProduct::skinny_sizes(std::int32_t tokens, int splits) const {
  SkinnySchedule schedule = schedule_skinny(layout_.described(), tokens, multiprocessors_);
  schedule.splits = splits;
  return {layout_.has_sources ? tokens * places() : 0,
          static_cast<std::int64_t>(schedule.partial_bytes(layout_.shape, tokens)) / 4,
          static_cast<std::int64_t>(schedule.arrival_bytes()) / 4};
}

void DeviceProduct::multiply_skinny(const DeviceCall& call) const {
  const Table& table = this->table();
  Parts parts(call.workspace);
  const SkinnySizes sizes = skinny_sizes(call.tokens);
  const SkinnySpace space = take_skinny(parts, sizes);
  clear_arrivals(table, space.arrivals, sizes.arrivals, call.stream);
  multiply({call.weight, static_cast<const std::uint16_t*>(call.input), call.input_kind,
            Target{call.output, layout_.shape.rows, call.output_kind, call.bias, nullptr, 0}, call.tokens, space,
            Launch{call.stream, 0}});
}

bool DeviceProduct::moves_columns() const { return layout_.has_sources || layout_.shape.columns != places(); }

std::int64_t DeviceProduct::arranged_numbers(std::int32_t tokens) const {
  return moves_columns() ? tokens * places() : 0;
}

void DeviceProduct::arrange(const std::byte* weight, const std::uint16_t* input, std::int32_t tokens,
                            std::uint16_t* arranged, const Launch& launch) const {
  const std::int32_t columns = layout_.shape.columns;
  const ArrangeCall call = {
      input, columns, tokens, columns, layout_.sources_at(weight), static_cast<std::int32_t>(places()), arranged};
  Library::call("arranging activations", library_.table().arrange, &call, &launch);
}

void DeviceProduct::multiply_sliced(const DeviceCall& call) const {
  const Table& table = this->table();
  const Matrix matrix = layout_.at(call.weight);
  const Launch launch = {call.stream, 0};
  Parts parts(call.workspace);
  const auto* input = static_cast<const std::uint16_t*>(call.input);
  if (moves_columns()) {
    auto* arranged = parts.take<std::uint16_t>(arranged_numbers(call.tokens));
    arrange(call.weight, input, call.tokens, arranged, launch);
    input = arranged;
  }
  const auto width = static_cast<std::int32_t>(places());
  HalfProduct product = {matrix,
                         input,
                         width,
                         width,
                         call.tokens,
                         reinterpret_cast<std::uintptr_t>(input) % 16 == 0,
                         {call.output, matrix.rows, call.output_kind, call.bias, nullptr, 0},
                         1,
                         nullptr,
                         nullptr};
  product.slices = choose_slices(layout_.shape, call.tokens, clusters_);
  multiply_halves(table, HalfKernel::kHopperSliced, call.input_kind, product, launch);
}

HalfProduct DeviceProduct::skinny_product(const SkinnyCall& call) const {
  const Matrix matrix = layout_.at(call.weight);
  const std::uint16_t* input = layout_.has_sources ? call.space.arranged : call.input;
  const auto width = layout_.has_sources ? static_cast<std::int32_t>(places()) : matrix.columns;
  return {matrix,
          input,
          width,
          width,
          call.tokens,
          width % 8 == 0 && reinterpret_cast<std::uintptr_t>(input) % 16 == 0,
          call.output,
          schedule_skinny(matrix, call.tokens, multiprocessors_).splits,
          call.space.partials,
          call.space.arrivals};
}

void DeviceProduct::multiply(const SkinnyCall& call) const {
  const HalfProduct product = skinny_product(call);
  if (layout_.has_sources) arrange(call.weight, call.input, call.tokens, call.space.arranged, call.launch);
  multiply_halves(library_.table(), HalfKernel::kSkinny, call.kind, product, call.launch);
}

HopperSchedule DeviceProduct::hopper_schedule(Route route, std::int32_t tokens) const {
  const Matrix& shape = layout_.shape;
  if (route == Route::kHopperBytes) return HopperSchedule::bytes(shape, tokens, multiprocessors_);
  return route == Route::kHopperRounded ? HopperSchedule::rounded(shape, tokens, multiprocessors_)
                                        : HopperSchedule::exact(shape, tokens, multiprocessors_);
}

void DeviceProduct::multiply_hopper(Route route, const DeviceCall& call) const {
  const Table& table = this->table();
  const Matrix matrix = layout_.at(call.weight);
  const HopperSchedule schedule = hopper_schedule(route, call.tokens);
  Parts parts(call.workspace);
  const HopperSpace<std::uint16_t, float> space(parts, matrix, call.tokens, schedule);
  clear_arrivals(table, space.arrivals, schedule.arrivals, call.stream);
  const OperandCall arrange = {static_cast<const std::uint16_t*>(call.input),
                               matrix.columns,
                               call.tokens,
                               matrix.columns,
                               layout_.sources_at(call.weight),
                               matrix.steps,
                               schedule.block_tokens,
                               space.operands};
  const Launch launch = {call.stream, 0};
  Library::call("arranging activations", table.arrange_operands, &arrange, &launch);
  const auto width = static_cast<std::int32_t>(places());
  multiply_halves(table, route == Route::kHopper ? HalfKernel::kHopper : HalfKernel::kHopperRounded, call.input_kind,
                  {matrix,
                   space.operands,
                   width,
                   width,
                   call.tokens,
                   true,
                   {call.output, matrix.rows, call.output_kind, call.bias, nullptr, 0},
                   1,
                   space.sums,
                   space.arrivals,
                   schedule.stream},
                  launch);
}

}  // namespace lowbit::kernels::cuda
