#include "kernels/cuda/device_product.h"

#include <utility>

#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/runs.h"
#include "kernels/cuda/schedule.h"
#include "kernels/cuda/workspace.h"
#include "lowbit/base/error.h"

namespace lowbit::kernels::cuda {

namespace {

/// What Hopper's kernels of 16-bit activations need: those laid out, and where the sums of shared tiles wait.
struct HopperSpace {
  std::uint16_t* operands;
  float* sums;
  std::uint32_t* arrivals;
  HopperSpace(Parts& parts, const Matrix& shape, std::int32_t tokens, const HopperSchedule& schedule)
      : operands(parts.take<std::uint16_t>(laid_out_size(shape, tokens, schedule.block_tokens))),
        sums(parts.take<float>(schedule.sums)),
        arrivals(parts.take<std::uint32_t>(schedule.arrivals)) {}
};

/// The same for kHopperFloat8.
struct Float8Space {
  std::uint8_t* codes;
  float* scales;
  float* sums;
  std::uint32_t* arrivals;
  Float8Space(Parts& parts, const Matrix& shape, std::int32_t tokens, const HopperSchedule& schedule)
      : codes(parts.take<std::uint8_t>(laid_out_size(shape, tokens, schedule.block_tokens))),
        scales(parts.take<float>(tokens)),
        sums(parts.take<float>(schedule.sums)),
        arrivals(parts.take<std::uint32_t>(schedule.arrivals)) {}
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

void multiply_halves(const Table& table, HalfKernel kernel, NumberKind kind, const HalfProduct& product,
                     const Launch& launch) {
  Library::call("multiplying 16-bit activations", table.half_product, kernel, kind, &product, &launch);
}

}  // namespace

IntegerSpace::IntegerSpace(Parts& parts, const IntegerSizes& sizes)
    : bytes(parts.take<std::int8_t>(sizes.bytes)),
      scales(parts.take<float>(sizes.scales)),
      sums(parts.take<std::int32_t>(sizes.sums)),
      partials(parts.take<std::int32_t>(sizes.partials)),
      arrivals(parts.take<std::uint32_t>(sizes.arrivals)) {}

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
  layout_.is_e4m3 = packed.is_e4m3;
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
    (void)HopperSpace(parts, layout_.shape, tokens, hopper_schedule(route, tokens));
  } else if (route == Route::kHopperFloat8) {
    (void)Float8Space(parts, layout_.shape, tokens, hopper_schedule(route, tokens));
  } else if (route == Route::kIntegers || route == Route::kHopperBytes) {
    (void)IntegerSpace(parts, integer_sizes(route, arithmetic == DeviceArithmetic::kInt8 ? 1 : 2, tokens));
  }
  return parts.used();
}

void DeviceProduct::multiply(Route route, DeviceArithmetic arithmetic, const DeviceCall& call) const {
  if (call.tokens == 0) return;
  if (arithmetic == DeviceArithmetic::kHalf && call.input_kind == NumberKind::kFloat32) {
    fail(ErrorCode::kInternal, "a product of 16-bit activations was given float32");
  }
  if ((arithmetic == DeviceArithmetic::kInt8 || arithmetic == DeviceArithmetic::kInt16) && layout_.has_table) {
    fail(ErrorCode::kInternal, "a weight with a table of numbers has no product of integers");
  }
  switch (route) {
    case Route::kIntegers:
    case Route::kHopperBytes: return multiply_integers(route, arithmetic == DeviceArithmetic::kInt8 ? 1 : 2, call);
    case Route::kSkinny: return multiply_skinny(call);
    case Route::kHopperSliced: return multiply_sliced(call);
    case Route::kHopper:
    case Route::kHopperRounded: return multiply_hopper(route, call);
    case Route::kHopperFloat8: return multiply_float8(call);
    case Route::kExpandedHalves:
    case Route::kExpandedBytes: break;
  }
  fail(ErrorCode::kInternal, "'{}' is no product of these kernels alone", route_name(route, arithmetic));
}

IntegerSizes DeviceProduct::integer_sizes(Route route, int planes, std::int32_t tokens) const {
  if (route == Route::kHopperBytes) {
    const HopperSchedule schedule = hopper_schedule(route, tokens);
    return {laid_out_size(layout_.shape, tokens, schedule.block_tokens), tokens, tokens, schedule.sums,
            schedule.arrivals};
  }
  const std::int64_t many = tokens;
  return {planes * many * places(), planes == 1 ? many : many * runs(), many * runs(), 0, 0};
}

void DeviceProduct::round(const IntegerCall& call, int planes, const RoundedInput& input) const {
  const Matrix& shape = layout_.shape;
  const bool laid_out = call.route == Route::kHopperBytes;
  const QuantizeCall quantize = {input.input,
                                 input.kind,
                                 shape.columns,
                                 call.tokens,
                                 shape.columns,
                                 layout_.sources_at(call.weight),
                                 shape.steps,
                                 shape.groups,
                                 shape.group_steps,
                                 call.space.bytes,
                                 call.space.scales,
                                 laid_out ? nullptr : call.space.sums,
                                 laid_out ? hopper_byte_tokens(call.tokens) : 0,
                                 laid_out ? call.space.sums : nullptr,
                                 input.rows,
                                 input.other,
                                 input.epsilon};
  Library::call("rounding activations", library_.table().quantize, planes, &quantize, &call.launch);
}

void DeviceProduct::round_float8(const Float8Rounding& rounding) const {
  const std::int32_t columns = layout_.shape.columns;
  const auto steps = static_cast<std::int32_t>((std::int64_t{columns} + kStepColumns - 1) / kStepColumns);
  const RoundFloat8Call call = {{rounding.input, rounding.kind, columns, rounding.tokens, columns, nullptr, steps},
                                rounding.scales,
                                rounding.numbers,
                                nullptr,
                                0};
  const Launch launch = {rounding.stream, 0};
  Library::call("rounding activations to E4M3", table().round_float8, &call, &launch);
}

IntegerProduct DeviceProduct::integer_product(const IntegerCall& call) const {
  IntegerProduct product = {layout_.at(call.weight), call.space.bytes, call.space.scales,
                            call.space.sums,         call.tokens,      call.output};
  if (call.route == Route::kHopperBytes) {
    product.stream = hopper_schedule(call.route, call.tokens).stream;
    product.partials = call.space.partials;
    product.arrivals = call.space.arrivals;
  }
  return product;
}

void DeviceProduct::multiply(const IntegerCall& call, int planes) const {
  const IntegerProduct product = integer_product(call);
  constexpr const char* kAction = "multiplying integers";
  if (call.route == Route::kHopperBytes) {
    Library::call(kAction, library_.table().hopper_bytes, ByteKernel::kTogether, &product, &call.launch);
  } else {
    Library::call(kAction, library_.table().integer_product, planes, &product, &call.launch);
  }
}

bool DeviceProduct::rounds_as(const DeviceProduct& other) const {
  const Matrix& a = layout_.shape;
  const Matrix& b = other.layout_.shape;
  return !layout_.has_sources && !other.layout_.has_sources && a.columns == b.columns && a.steps == b.steps &&
         a.groups == b.groups && a.group_steps == b.group_steps;
}

void DeviceProduct::multiply_integers(Route route, int planes, const DeviceCall& call) const {
  Parts parts(call.workspace);
  const IntegerSizes sizes = integer_sizes(route, planes, call.tokens);
  const Target output = {call.output, layout_.shape.rows, call.output_kind, call.bias, nullptr, 0};
  const IntegerCall own = {route, call.weight, output, call.tokens, IntegerSpace(parts, sizes), {call.stream, 0}};
  clear_arrivals(table(), own.space.arrivals, sizes.arrivals, call.stream);
  round(own, planes, {call.input, call.input_kind});
  multiply(own, planes);
}

void DeviceProduct::multiply_float8(const DeviceCall& call) const {
  if (!layout_.is_e4m3) fail(ErrorCode::kInternal, "a product of E4M3 was given a weight of other numbers");
  const Table& table = this->table();
  const Matrix matrix = layout_.at(call.weight);
  const HopperSchedule schedule = hopper_schedule(Route::kHopperFloat8, call.tokens);
  Parts parts(call.workspace);
  const Float8Space space(parts, matrix, call.tokens, schedule);
  clear_arrivals(table, space.arrivals, schedule.arrivals, call.stream);
  const Launch launch = {call.stream, 0};
  const RoundFloat8Call round = {{call.input, call.input_kind, matrix.columns, call.tokens, matrix.columns,
                                  layout_.sources_at(call.weight), matrix.steps},
                                 space.scales,
                                 nullptr,
                                 space.codes,
                                 schedule.block_tokens};
  Library::call("rounding activations to E4M3", table.round_float8, &round, &launch);
  const Float8Product product = {matrix,
                                 space.codes,
                                 space.scales,
                                 call.tokens,
                                 {call.output, matrix.rows, call.output_kind, call.bias, nullptr, 0},
                                 schedule.stream,
                                 space.sums,
                                 space.arrivals};
  Library::call("multiplying E4M3", table.hopper_float8, &product, &launch);
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
  if (route == Route::kHopperFloat8) return HopperSchedule::float8(shape, tokens, multiprocessors_);
  return route == Route::kHopperRounded ? HopperSchedule::rounded(shape, tokens, multiprocessors_)
                                        : HopperSchedule::exact(shape, tokens, multiprocessors_);
}

void DeviceProduct::multiply_hopper(Route route, const DeviceCall& call) const {
  const Table& table = this->table();
  const Matrix matrix = layout_.at(call.weight);
  const HopperSchedule schedule = hopper_schedule(route, call.tokens);
  Parts parts(call.workspace);
  const HopperSpace space(parts, matrix, call.tokens, schedule);
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
