#include "kernels/cuda/decode_step.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/cuda/schedule.h"
#include "kernels/cuda/step_dispatch.h"
#include "lowbit/base/error.h"

namespace lowbit::kernels::cuda {

namespace {

constexpr std::size_t kSpaces = 3;  // of products that are made together

CachedAttentionCall attention_of(const StepShape& shape) {
  CachedAttentionCall call{};
  call.sequences = shape.sequences;
  call.kv_heads = shape.kv_heads;
  call.repeats = shape.heads / shape.kv_heads;
  call.channels = shape.head_dim;
  call.capacity = shape.capacity;
  call.window = shape.window;
  call.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
  return call;
}

// Those of one matrix with the rows of all: what fills the GPU is all of them.
int splits_together(const std::vector<const StepMatrix*>& matrices) {
  const DeviceProduct& first = *matrices[0]->product;
  int tiles = 0;
  for (const StepMatrix* matrix : matrices) tiles += tiles_of(matrix->product->layout().shape);
  return choose_splits(tiles, chunks_of(first.layout().shape), first.multiprocessors());
}

bool rounds(const StepMatrix* matrix) { return matrix->arithmetic == DeviceArithmetic::kInt8; }

// Of those that are kernels of ours alone: a library's product is not recorded.
Route integer_route(const StepMatrix& matrix, std::int32_t sequences) {
  const Route route = route_for(matrix.product->routes(DeviceArithmetic::kInt8), sequences);
  return route == Route::kHopperBytes ? route : Route::kIntegers;
}

// Whether what one of them rounds is what all read.
bool round_alike(const std::vector<const StepMatrix*>& matrices, std::int32_t sequences) {
  const StepMatrix* first = matrices[0];
  return std::ranges::all_of(matrices, [&](const StepMatrix* matrix) {
    return rounds(matrix) && matrix->product->rounds_as(*first->product) &&
           integer_route(*matrix, sequences) == integer_route(*first, sequences);
  });
}

// Neither rounded nor arranged.
bool can_read_input_as_it_is(const std::vector<const StepMatrix*>& matrices) {
  return std::ranges::none_of(
      matrices, [](const StepMatrix* matrix) { return rounds(matrix) || matrix->product->layout().has_sources; });
}

void add_largest(const std::vector<const StepMatrix*>& together, std::int32_t sequences, SkinnySizes& most) {
  const int splits = splits_together(together);
  for (const StepMatrix* matrix : together) {
    if (rounds(matrix)) continue;
    for (const int each : {splits, splits_together({matrix})}) {
      const SkinnySizes sizes = matrix->product->skinny_sizes(sequences, each);
      most.arranged = std::max(most.arranged, sizes.arranged);
      most.partials = std::max(most.partials, sizes.partials);
      most.arrivals = std::max(most.arrivals, sizes.arrivals);
    }
  }
}

SkinnySizes largest_of(const std::vector<StepBlock>& blocks, std::int32_t sequences) {
  SkinnySizes most{};
  for (const StepBlock& block : blocks) {
    add_largest({&block.q, &block.k, &block.v}, sequences, most);
    add_largest({&block.gate, &block.up}, sequences, most);
    for (const StepMatrix* matrix : {&block.o, &block.down}) add_largest({matrix}, sequences, most);
  }
  return most;
}

IntegerSizes largest_rounded(const std::vector<StepBlock>& blocks, std::int32_t sequences) {
  IntegerSizes most{};
  for (const StepBlock& block : blocks) {
    for (const StepMatrix* matrix : {&block.q, &block.k, &block.v, &block.o, &block.gate, &block.up, &block.down}) {
      if (!rounds(matrix)) continue;
      const IntegerSizes sizes = matrix->product->integer_sizes(integer_route(*matrix, sequences), 1, sequences);
      most.bytes = std::max(most.bytes, sizes.bytes);
      most.scales = std::max(most.scales, sizes.scales);
      most.sums = std::max(most.sums, sizes.sums);
      most.partials = std::max(most.partials, sizes.partials);
      most.arrivals = std::max(most.arrivals, sizes.arrivals);
    }
  }
  return most;
}

}  // namespace

DecodeStep::Space::Space(Parts& parts, const StepShape& shape, const std::vector<StepBlock>& blocks) {
  const std::int64_t rows = shape.sequences;
  x = parts.take<std::uint16_t>(rows * shape.hidden);
  q = parts.take<std::uint16_t>(rows * shape.heads * shape.head_dim);
  heads = parts.take<std::uint16_t>(rows * shape.heads * shape.head_dim);
  k = parts.take<std::uint16_t>(rows * shape.kv_heads * shape.head_dim);
  v = parts.take<std::uint16_t>(rows * shape.kv_heads * shape.head_dim);
  gate = parts.take<std::uint16_t>(rows * shape.intermediate);
  up = parts.take<std::uint16_t>(rows * shape.intermediate);
  const SkinnySizes sizes = largest_of(blocks, shape.sequences);
  for (SkinnySpace& space : products) {
    space = {parts.take<std::uint16_t>(sizes.arranged), parts.take<float>(sizes.partials),
             parts.take<std::uint32_t>(sizes.arrivals)};
  }
  integers = IntegerSpace(parts, largest_rounded(blocks, shape.sequences));
  const AttentionSpace attention(attention_of(shape));
  attention_partials = parts.take<float>(attention.partials);
  attention_arrivals = parts.take<std::uint32_t>(attention.arrivals);
}

DecodeStep::DecodeStep(Library library, int device, const StepShape& shape, const StepState& state,
                       std::vector<StepBlock> blocks, std::byte* workspace)
    : library_(library), device_(device), shape_(shape), state_(state), blocks_(std::move(blocks)), space_([&] {
        Parts parts(workspace);
        return Space(parts, shape_, blocks_);
      }()) {
  library_.require_device(device);
}

std::int64_t DecodeStep::workspace_bytes(const StepShape& shape, const std::vector<StepBlock>& blocks) {
  Parts parts(nullptr);
  (void)Space(parts, shape, blocks);
  return parts.used();
}

void DecodeStep::launch(void* stream) const {
  Library::call("choosing the GPU", library_.table().use_device, device_);
  // The first kernel waits for what was launched before it to end, so that all behind it may read the position and the
  // caches' older tokens without waiting.
  Launch launch = {stream, 0};
  for (const StepBlock& block : blocks_) {
    run_block(block, launch);
    launch.dependent = 1;
  }
  norm(state_.final_norm, state_.normalised, state_.position, launch);
}

void DecodeStep::run_block(const StepBlock& block, const Launch& first) const {
  const Space& s = space_;
  const Launch launch = {first.stream, 1};
  multiply_normed(block.input_norm,
                  {call_of(block.q, s.x, s.q, 0, false, launch), call_of(block.k, s.x, s.k, 1, false, launch),
                   call_of(block.v, s.x, s.v, 2, false, launch)},
                  {&block.q, &block.k, &block.v}, first);
  attend(block, launch);
  multiply_each({call_of(block.o, s.heads, state_.hidden, 0, true, launch)}, {&block.o});
  feed_forward(block, launch);
}

void DecodeStep::feed_forward(const StepBlock& block, const Launch& launch) const {
  const Space& s = space_;
  const SkinnyCall down = call_of(block.down, s.gate, state_.hidden, 0, true, launch);
  if (multiply_gated(block, launch)) return multiply_each({down}, {&block.down});
  multiply_normed(block.mlp_norm,
                  {call_of(block.gate, s.x, s.gate, 0, false, launch), call_of(block.up, s.x, s.up, 1, false, launch)},
                  {&block.gate, &block.up}, launch);
  if (round_alike({&block.down}, shape_.sequences)) {
    block.down.product->round(integer_call(block.down, down), 1,
                              {s.gate, NumberKind::kBFloat16, RowsToRound::kGated, s.up});
    return multiply_rounded({down}, {&block.down});
  }
  const GateCall rows = {s.gate, s.up, s.gate, shape_.sequences * shape_.intermediate};
  Library::call("gating activations", library_.table().gate_rows, &rows, &launch);
  multiply_each({down}, {&block.down});
}

void DecodeStep::multiply_normed(const std::uint16_t* weight, const std::vector<SkinnyCall>& calls,
                                 const std::vector<const StepMatrix*>& matrices, const Launch& first) const {
  if (!round_alike(matrices, shape_.sequences)) {
    norm(weight, space_.x, nullptr, first);
    return multiply_all(calls, matrices);
  }
  IntegerCall call = integer_call(*matrices[0], calls[0]);
  call.launch = first;
  matrices[0]->product->round(call, 1,
                              {state_.hidden, NumberKind::kBFloat16, RowsToRound::kNormed, weight, shape_.epsilon});
  multiply_rounded(calls, matrices);
}

void DecodeStep::norm(const std::uint16_t* weight, std::uint16_t* output, std::int32_t* counter,
                      const Launch& launch) const {
  const NormCall call = {state_.hidden, weight, output, shape_.sequences, shape_.hidden, shape_.epsilon, counter};
  Library::call("normalising rows", library_.table().norm_rows, &call, &launch);
}

void DecodeStep::attend(const StepBlock& block, const Launch& launch) const {
  CachedAttentionCall call = attention_of(shape_);
  call.queries = space_.q;
  call.new_keys = space_.k;
  call.new_values = space_.v;
  call.keys = block.keys;
  call.values = block.values;
  call.output = space_.heads;
  call.cos = state_.cos;
  call.sin = state_.sin;
  call.position = state_.position;
  call.partials = space_.attention_partials;
  call.arrivals = space_.attention_arrivals;
  Library::call("attending", library_.table().attend_cached, &call, &launch);
}

SkinnyCall DecodeStep::call_of(const StepMatrix& matrix, const std::uint16_t* input, std::uint16_t* output,
                               std::size_t space, bool adds, const Launch& launch) const {
  const std::int64_t rows = matrix.product->layout().shape.rows;
  return {matrix.weight,
          input,
          NumberKind::kBFloat16,
          Target{output, rows, NumberKind::kBFloat16, matrix.bias, adds ? output : nullptr, rows},
          shape_.sequences,
          space_.products[space],
          launch};
}

bool DecodeStep::multiply_gated(const StepBlock& block, const Launch& launch) const {
  const Space& s = space_;
  GatedCall call = {block.gate.product->skinny_product(call_of(block.gate, s.x, s.gate, 0, false, launch)),
                    block.up.product->skinny_product(call_of(block.up, s.x, s.up, 1, false, launch))};
  call.gate.splits = call.up.splits = 1;
  if (!can_read_input_as_it_is({&block.gate, &block.up}) || gated_obstacle(call) != nullptr) return false;
  norm(block.mlp_norm, s.x, nullptr, launch);
  Library::call("multiplying and gating", library_.table().multiply_gated, &call, &launch);
  return true;
}

// In one launch where the kernel for that takes them, else one behind the other.
void DecodeStep::multiply_all(const std::vector<SkinnyCall>& calls,
                              const std::vector<const StepMatrix*>& matrices) const {
  std::vector<HalfProduct> products;
  const int splits = splits_together(matrices);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    products.push_back(matrices[i]->product->skinny_product(calls[i]));
    products.back().splits = splits;
  }
  const auto count = static_cast<std::int32_t>(products.size());
  if (!can_read_input_as_it_is(matrices) || together_obstacle(products.data(), count) != nullptr) {
    return multiply_each(calls, matrices);
  }
  Library::call("multiplying together", library_.table().multiply_together, products.data(), count, &calls[0].launch);
}

IntegerCall DecodeStep::integer_call(const StepMatrix& matrix, const SkinnyCall& call) const {
  return {integer_route(matrix, call.tokens), call.weight, call.output, call.tokens, space_.integers, call.launch};
}

// What one product rounds serves those behind it that round alike.
void DecodeStep::multiply_each(const std::vector<SkinnyCall>& calls,
                               const std::vector<const StepMatrix*>& matrices) const {
  const StepMatrix* rounded = nullptr;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const StepMatrix* matrix = matrices[i];
    if (!rounds(matrix)) {
      matrix->product->multiply(calls[i]);
      continue;
    }
    const IntegerCall call = integer_call(*matrix, calls[i]);
    if (rounded == nullptr || !round_alike({rounded, matrix}, shape_.sequences)) {
      matrix->product->round(call, 1, {calls[i].input, calls[i].kind});
    }
    rounded = matrix;
    matrix->product->multiply(call, 1);
  }
}

// In one launch where the kernel for that takes them, else one behind the other.
void DecodeStep::multiply_rounded(const std::vector<SkinnyCall>& calls,
                                  const std::vector<const StepMatrix*>& matrices) const {
  std::vector<IntegerProduct> products;
  bool by_integers = true;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const IntegerCall call = integer_call(*matrices[i], calls[i]);
    products.push_back(matrices[i]->product->integer_product(call));
    by_integers = by_integers && call.route == Route::kIntegers;
  }
  const auto count = static_cast<std::int32_t>(products.size());
  if (by_integers && together_obstacle(products.data(), count) == nullptr) {
    return Library::call("multiplying integers together", library_.table().multiply_integers_together, products.data(),
                         count, &calls[0].launch);
  }
  for (std::size_t i = 0; i < calls.size(); ++i) {
    matrices[i]->product->multiply(integer_call(*matrices[i], calls[i]), 1);
  }
}

// A stream of its own, since LibTorch's may be the one that cannot be recorded.
RecordedLaunches::RecordedLaunches(Library library, const std::function<void(void*)>& launches) : library_(library) {
  const Table& table = library_.table();
  void* stream = nullptr;
  Library::call("making a stream", table.create_stream, &stream);
  Library::call("recording a graph", table.begin_capture, stream);
  launches(stream);
  Library::call("recording a graph", table.end_capture, stream, &graph_);
  Library::call("releasing a stream", table.release_stream, stream);
}

RecordedLaunches::~RecordedLaunches() {
  Report report{};
  (void)library_.table().release_graph(graph_, &report);  // a device that failed has said so before
}

void RecordedLaunches::replay(void* stream) const {
  Library::call("replaying a graph", library_.table().launch_graph, graph_, stream);
}

}  // namespace lowbit::kernels::cuda
