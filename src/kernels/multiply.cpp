#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/ceil_divide.h"
#include "kernels/activations.h"
#include "kernels/backend.h"
#include "kernels/executor.h"
#include "kernels/layout.h"
#include "lowbit/base/error.h"
#include "lowbit/kernels/together.h"

namespace lowbit::kernels {

namespace {

// Values, scales and sums are indexed with 64 bits; this bounds the workspace.
constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

static_assert(kOutputPart == kCallRows);

void check_matrix(const char* what, const void* data, std::int64_t tokens, std::int64_t width, std::int64_t expected,
                  std::int64_t stride) {
  if (tokens < 0 || tokens > kMostTokens) {
    fail(ErrorCode::kInternal, "product: {} has {} tokens, expected 0 to {}", what, tokens, kMostTokens);
  }
  if (width != expected) {
    fail(ErrorCode::kInternal, "product: {} is {} wide, expected {} for this weight", what, width, expected);
  }
  if (tokens > 1 && stride < width) {
    fail(ErrorCode::kInternal, "product: {} has stride {}, expected at least its width {}", what, stride, width);
  }
  if (tokens > 0 && data == nullptr)
    fail(ErrorCode::kInternal, "product: {} is null, expected {} tokens", what, tokens);
  if (reinterpret_cast<std::uintptr_t>(data) % alignof(float) != 0) {
    fail(ErrorCode::kInternal, "product: {} begins at an address that is no multiple of {}", what, alignof(float));
  }
}

void check_product(const Product& product) {
  const std::int64_t rows = product.weight.rows();
  const Input& input = product.input;
  const Output& output = product.output;
  check_matrix("input", input.data, input.tokens, input.columns, product.weight.columns(), input.stride);
  const bool taken = output.taker.take != nullptr;
  check_matrix("output", taken ? input.data : output.data, output.tokens, output.rows, rows,
               taken ? output.rows : output.stride);
  if (input.tokens != output.tokens) {
    fail(ErrorCode::kInternal, "product: the input has {} tokens and the output {}, expected as many", input.tokens,
         output.tokens);
  }
  const Epilogue& epilogue = product.epilogue;
  if (!epilogue.bias.empty() && static_cast<std::int64_t>(epilogue.bias.size()) != rows) {
    fail(ErrorCode::kInternal, "product: the bias has {} numbers, expected {}", epilogue.bias.size(), rows);
  }
  if (epilogue.residual != nullptr) {
    check_matrix("residual", epilogue.residual, input.tokens, rows, rows, epilogue.residual_stride);
  }
}

// The bytes in front of the first cache line of a workspace.
std::size_t misalignment(const std::byte* data) {
  const std::size_t over = reinterpret_cast<std::uintptr_t>(data) % kAlignment;
  return over == 0 ? 0 : kAlignment - over;
}

// One product, its activations arranged.
class Multiplication {
 public:
  Multiplication(const Product& product, const Kernel& kernel, const Arranged& arranged)
      : product_(product),
        kernel_(kernel),
        arranged_(arranged),
        layout_(product.weight.layout()),
        blocks_(layout_.view()),
        grain_(product.output.taker.take == nullptr ? 1 : kCallBlocks),
        columns_(ceil_divide(layout_.blocks, grain_)),
        tiles_(ceil_divide(product.input.tokens, kernel.tile)),
        parts_(ceil_divide(tiles_, kCallTokens / kernel.tile)) {}

  // Work items are pairs of a part of the tokens and `grain_` blocks, the blocks of a part side by side.
  void run(std::int64_t begin, std::int64_t end) const {
    while (begin < end) {
      const std::int64_t part = begin / columns_;
      const std::int64_t block = begin % columns_ * grain_;
      const std::int64_t count = std::min({std::int64_t{kCallBlocks}, layout_.blocks - block, (end - begin) * grain_});
      multiply_blocks(first_token(part), first_token(part + 1), block, count);
      begin += ceil_divide(count, grain_);
    }
  }

  [[nodiscard]] std::int64_t items() const { return parts_ * columns_; }

 private:
  // Parts differ by one tile at most, so that threads with as many items have as much to do.
  [[nodiscard]] std::int64_t first_token(std::int64_t part) const {
    return std::min(product_.input.tokens, part * tiles_ / parts_ * kernel_.tile);
  }

  void multiply_blocks(std::int64_t token, std::int64_t end, std::int64_t block, std::int64_t count) const {
    alignas(64) float sums[kCallTokens * kCallRows];
    const std::int64_t tokens = end - token;
    const std::int64_t rows = std::min(count * kBlockRows, layout_.shape.rows - block * kBlockRows);
    start_sums(sums, tokens, block * kBlockRows, rows);
    const auto runs = static_cast<std::int64_t>(layout_.runs.size());
    kernel_.run({&blocks_, block, count, arranged_.values + token * arranged_.bytes_per_token,
                 arranged_.run_scales + token * runs, arranged_.run_sums + token * runs, tokens, sums});
    for (std::int64_t t = 0; t < tokens; ++t) {
      float* part = sums + t * kCallRows;
      if (product_.arithmetic != Arithmetic::kFloat32) finish_integers(part, token + t, block, count);
      store(part, token + t, block * kBlockRows, rows);
    }
  }

  void start_sums(float* sums, std::int64_t tokens, std::int64_t row, std::int64_t rows) const {
    std::fill_n(sums, tokens * kCallRows, 0.0F);
    if (product_.arithmetic != Arithmetic::kFloat32 || product_.epilogue.bias.empty()) return;
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::copy_n(product_.epilogue.bias.data() + row, rows, sums + t * kCallRows);
    }
  }

  void finish_integers(float* sums, std::int64_t token, std::int64_t block, std::int64_t count) const {
    if (rounds_tokens(product_.arithmetic)) {
      const float scale = arranged_.token_scales[token];
      for (std::int64_t r = 0; r < count * kBlockRows; ++r) sums[r] *= scale;
    }
    const float* input = product_.input.data + token * product_.input.stride;
    for (std::int64_t b = 0; b < count && !layout_.outlier_values.empty(); ++b) {
      const auto at = static_cast<std::size_t>(block + b);
      for (std::int64_t i = layout_.outlier_begin[at]; i < layout_.outlier_begin[at + 1]; ++i) {
        const auto outlier = static_cast<std::size_t>(i);
        float& sum = sums[b * kBlockRows + layout_.outlier_lanes[outlier]];
        sum = std::fma(input[layout_.source(layout_.outlier_places[outlier])], layout_.outlier_values[outlier], sum);
      }
    }
    if (product_.epilogue.bias.empty()) return;
    const std::int64_t row = block * kBlockRows;
    const std::int64_t rows = std::min(count * kBlockRows, layout_.shape.rows - row);
    for (std::int64_t r = 0; r < rows; ++r) sums[r] += product_.epilogue.bias[static_cast<std::size_t>(row + r)];
  }

  void store(float* sums, std::int64_t token, std::int64_t row, std::int64_t rows) const {
    const OutputTaker& taker = product_.output.taker;
    float* target = taker.take != nullptr ? sums : product_.output.data + token * product_.output.stride + row;
    add_residual(sums, token, row, rows, target);
    if (taker.take != nullptr) taker.take(taker.state, token, row, rows, sums);
  }

  void add_residual(const float* sums, std::int64_t token, std::int64_t row, std::int64_t rows, float* target) const {
    const Epilogue& epilogue = product_.epilogue;
    if (epilogue.residual == nullptr) {
      if (target == sums) return;
      if (rows == kCallRows) {  // of a size that the compiler knows
        std::memcpy(target, sums, kCallRows * sizeof(float));
      } else {
        std::copy_n(sums, rows, target);
      }
      return;
    }
    const float* residual = epilogue.residual + token * epilogue.residual_stride + row;
    for (std::int64_t r = 0; r < rows; ++r) target[r] = sums[r] + residual[r];
  }

  const Product& product_;
  const Kernel& kernel_;
  const Arranged& arranged_;
  const PackedLayout& layout_;
  Blocks blocks_;
  std::int64_t grain_;    // blocks of an item: those of a part of the output where it is taken
  std::int64_t columns_;  // items side by side
  std::int64_t tiles_;    // of tokens
  std::int64_t parts_;    // of tokens, each for one call
};

}  // namespace

std::string_view arithmetic_name(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFloat32: return "float32";
    case Arithmetic::kInt8: return "int8";
    case Arithmetic::kInt16: return "int16";
    case Arithmetic::kInt8TwoLevel: return "int8_two_level";
    case Arithmetic::kBFloat16: return "bfloat16";
  }
  return "";
}

namespace {

// At most 2^31 / (128 * 127) summands n (code - zero) q.
constexpr std::int64_t kTwoLevelColumns = 131072;

void check_two_level(const PackedLayout& layout) {
  if (layout.row_scale_offset == 0) {
    fail(ErrorCode::kUnsupported,
         "product: arithmetic 'int8_two_level' needs scales that are whole multiples of one number a row, packed as "
         "uint8, and this weight's are packed as floats; use 'int8'");
  }
  if (layout.shape.columns > kTwoLevelColumns) {
    fail(ErrorCode::kUnsupported,
         "product: arithmetic 'int8_two_level' takes at most {} columns, and this weight has {}; use 'int8'",
         kTwoLevelColumns, layout.shape.columns);
  }
}

}  // namespace

void check_arithmetic(const PackedWeight& weight, Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::kFloat32) return;
  const PackedLayout& layout = weight.layout();
  if (layout.shape.decoding != Decoding::kWholeZero) {
    fail(ErrorCode::kUnsupported,
         "product: arithmetic '{}' needs whole zero points, and this weight has {}; use 'float32'",
         arithmetic_name(arithmetic), layout.shape.decoding == Decoding::kTable ? "a table of numbers" : "real ones");
  }
  if (arithmetic == Arithmetic::kInt8TwoLevel) return check_two_level(layout);
  // Sums of a group must fit in int32; kInt16 sums no more than 256 columns, which always do.
  const std::int64_t most = (std::int64_t{1} << 31) / (128 * ((std::int64_t{1} << layout.packed_bits) - 1));
  if (arithmetic == Arithmetic::kInt8 && layout.longest_group > most) {
    fail(ErrorCode::kUnsupported,
         "product: arithmetic 'int8' takes groups of at most {} columns of {} bits, and this "
         "weight has one of {}; use 'int16'",
         most, layout.packed_bits, layout.longest_group);
  }
}

namespace {

// A product that is ready but for its activations.
struct Prepared {
  const Product* product;
  const Kernel* kernel;
  Arranged arranged;
};

const Kernel& kernel_of(const Product& product, std::string_view backend) {
  return choose_kernel(backend, product.arithmetic, product.weight.layout().packed_bits, product.input.tokens, nullptr);
}

Prepared prepare(const Kernel& kernel, const Product& product) {
  const PackedLayout& layout = product.weight.layout();
  const std::int64_t tokens = product.input.tokens;
  const std::size_t skipped = misalignment(product.workspace.data());
  const Arranged arranged = lay_out(product.workspace.data() + skipped, layout, kernel, tokens);
  if (skipped + arranged.bytes > product.workspace.size()) {
    fail(ErrorCode::kInternal, "product: the workspace has {} bytes, expected {} (workspace_bytes)",
         product.workspace.size(), arranged.bytes + kAlignment);
  }
  return {&product, &kernel, arranged};
}

// Numbers of an input that are worth waking a thread for.
constexpr std::int64_t kWorthAThread = 16384;

// `maker` null: the input is there.
void arrange(const Prepared& prepared, const InputMaker& maker) {
  const Product& product = *prepared.product;
  const Input& input = product.input;
  const Arranging arranging{product.weight.layout(), *prepared.kernel, product.arithmetic, input, prepared.arranged};
  const bool alone = input.tokens * input.columns < kWorthAThread;
  run_parts(alone ? Executor{} : product.executor, input.tokens, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; ++token) {
      if (maker.make != nullptr) maker.make(maker.state, token, token + 1);
      arrange_tokens(arranging, token, token + 1);
    }
  });
}

// Whether what was arranged for one product is what the other needs.
bool share_activations(const Prepared& one, const Prepared& other) {
  const PackedLayout& a = one.product->weight.layout();
  const PackedLayout& b = other.product->weight.layout();
  const auto same_run = [](const Run& x, const Run& y) {
    return x.first_step == y.first_step && x.steps == y.steps && x.columns == y.columns;
  };
  return one.product->arithmetic == other.product->arithmetic && one.kernel->form == other.kernel->form &&
         one.kernel->tile == other.kernel->tile && a.shape.columns == b.shape.columns && a.steps == b.steps &&
         std::ranges::equal(a.runs, b.runs, same_run) && a.sources == b.sources;
}

// Several products, their work items one behind the other. Allocates nothing.
class Joint {
 public:
  void add(Prepared next) {
    const auto end = prepared_.begin() + static_cast<std::ptrdiff_t>(count_);
    const auto arranged =
        std::find_if(prepared_.begin(), end, [&](const auto& one) { return share_activations(one, next); });
    if (arranged != end) {
      next.arranged = arranged->arranged;
    } else {
      arrange(next, count_ == 0 ? next.product->input.maker : InputMaker{});
    }
    prepared_[count_] = next;
    multiplications_[count_].emplace(*next.product, *next.kernel, prepared_[count_].arranged);
    ends_[count_] = items() + multiplications_[count_]->items();
    ++count_;
  }
  [[nodiscard]] std::int64_t items() const { return count_ == 0 ? 0 : ends_[count_ - 1]; }
  void run(std::int64_t begin, std::int64_t end) const {
    for (std::size_t i = 0; i < count_; ++i) {
      const std::int64_t first = i == 0 ? 0 : ends_[i - 1];
      if (begin >= ends_[i] || end <= first) continue;
      multiplications_[i]->run(std::max(begin, first) - first, std::min(end, ends_[i]) - first);
    }
  }

 private:
  std::array<Prepared, kMostTogether> prepared_ = {};
  std::array<std::optional<Multiplication>, kMostTogether> multiplications_;
  std::array<std::int64_t, kMostTogether> ends_ = {};
  std::size_t count_ = 0;
};

// From as many tokens on an item is worth being fetched. Below, threads keep to their rows, which their second-level
// caches may still hold.
constexpr std::int64_t kSharedTokens = 8;

template <typename Items>
void run_items(const Executor& executor, std::int64_t tokens, const Items& items) {
  auto run = [&](std::int64_t begin, std::int64_t end) { items.run(begin, end); };
  if (tokens < kSharedTokens) return run_parts(executor, items.items(), run);
  share_out(executor, items.items(), kCallBlocks, run);
}

}  // namespace

void multiply_on(const Backend& backend, const Product& product) {
  multiply_with(*backend.select(product.arithmetic, product.weight.layout().packed_bits, product.input.tokens),
                product);
}

void multiply_with(const Kernel& kernel, const Product& product) {
  if (product.input.tokens == 0) return;
  const Prepared prepared = prepare(kernel, product);
  arrange(prepared, product.input.maker);
  const Multiplication multiplication(product, *prepared.kernel, prepared.arranged);
  run_items(product.executor, product.input.tokens, multiplication);
}

void multiply_together(std::span<const Product> products) {
  if (products.empty()) return;
  if (products.size() > kMostTogether) {
    fail(ErrorCode::kInternal, "product: {} products together, expected at most {}", products.size(), kMostTogether);
  }
  const Input& input = products.front().input;
  for (const Product& product : products) {
    check_product(product);
    check_arithmetic(product.weight, product.arithmetic);
    const Input& own = product.input;
    if (own.data != input.data || own.tokens != input.tokens || own.stride != input.stride) {
      fail(ErrorCode::kInternal, "product: products together have one input, and two of {} and {} tokens differ",
           input.tokens, own.tokens);
    }
  }
  if (input.tokens == 0) return;
  Joint joint;
  for (const Product& product : products) {
    joint.add(prepare(kernel_of(product, products.front().backend), product));
  }
  run_items(products.front().executor, input.tokens, joint);
}

void multiply(const Product& product) {
  check_product(product);
  check_arithmetic(product.weight, product.arithmetic);
  multiply_with(kernel_of(product, product.backend), product);
}

std::size_t workspace_bytes(const PackedWeight& weight, Arithmetic arithmetic, std::int64_t tokens,
                            std::string_view backend) {
  check_arithmetic(weight, arithmetic);
  if (tokens <= 0) return 0;
  const PackedLayout& layout = weight.layout();
  const Kernel& kernel = choose_kernel(backend, arithmetic, layout.packed_bits, tokens, nullptr);
  return lay_out(nullptr, layout, kernel, tokens).bytes + kAlignment;
}

std::size_t largest_workspace(const PackedWeight& weight, std::int64_t tokens) {
  constexpr Kernel kWidest = {"", Form::kFloats, 1, nullptr};
  return lay_out(nullptr, weight.layout(), kWidest, tokens).bytes + kAlignment;
}

}  // namespace lowbit::kernels
