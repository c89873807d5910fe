#include "tensor/float_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "base/ceil_divide.h"
#include "base/every_isa.h"
#include "tensor/aligned_buffer.h"
#include "tensor/float_panels.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// Keys whose weights, 12 or 24 KiB, stay in the first-level cache while all of the values' columns pass by.
constexpr std::int64_t kKeyBlock = 192;
// Keys of a unit of packing.
constexpr std::int64_t kPackedKeys = 32 * kPanelRows;

std::int64_t padded(std::int64_t count, std::int64_t width) { return ceil_divide(count, width) * width; }

// Keys and values of one KV head as left panels: keys [keys / 6][dim][6], values [dim / 6][keys][6].
struct PackedHead {
  AlignedBuffer keys;
  AlignedBuffer values;

  explicit PackedHead(const FloatAttention& a)
      : keys(padded(a.keys, kPanelRows) * a.dim), values(padded(a.dim, kPanelRows) * a.keys) {}
  // Some keys and their values; `first` begins a panel.
  void fill(const FloatAttention& a, const HeadsView<const float>& k, const HeadsView<const float>& v,
            std::int64_t batch, std::int64_t head, std::int64_t first, std::int64_t count) {
    for (std::int64_t key = first; key < first + count; key += kPanelRows) {
      pack_left_rows(k.at(batch, head, key), k.token_stride, std::min(kPanelRows, first + count - key), a.dim,
                     keys.data() + key * a.dim);
    }
    for (std::int64_t i = 0; i < a.dim; i += kPanelRows) {
      pack_left_columns(v.at(batch, head, first) + i, v.token_stride, std::min(kPanelRows, a.dim - i), count,
                        values.data() + i * a.keys + first * kPanelRows);
    }
  }
};

// Both forms of a head, or the only one.
struct PackedForms {
  PackedHead recent;
  std::optional<PackedHead> old;

  explicit PackedForms(const FloatAttention& a) : recent(a) {
    if (a.old_k.count != nullptr) old.emplace(a);
  }
  [[nodiscard]] static std::int64_t steps(const FloatAttention& a) { return ceil_divide(a.keys, kPackedKeys); }
  // Called with all numbers below `steps`, in any order.
  void fill(const FloatAttention& a, std::int64_t batch, std::int64_t head, std::int64_t step) {
    const std::int64_t first = step * kPackedKeys;
    const std::int64_t count = std::min(kPackedKeys, a.keys - first);
    recent.fill(a, a.k, a.v, batch, head, first, count);
    if (old) old->fill(a, a.old_k.data, a.old_v.data, batch, head, first, count);
  }
};

// rows [count][width] /= divisors, column by column.
LOWBIT_EVERY_ISA
void divide_rows(float* rows, std::int64_t count, std::int64_t width, const float* divisors) {
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t query = 0; query < width; ++query) rows[i * width + query] /= divisors[query];
  }
}

// Neighbouring queries of one head, one in each column of a tile. Scores stand as [key][query], so that the softmax
// runs down the columns and its result is the right side of the product with the values as it is.
class QueryBlock {
 public:
  [[nodiscard]] static std::int64_t queries_of_unit() { return panel_kernel().column_panels * kPanelColumns; }

  QueryBlock(const FloatAttention& attention, std::int64_t first)
      : a_(attention),
        first_(first),
        count_(std::min(queries_of_unit(), attention.queries - first)),
        panels_(ceil_divide(count_, kPanelColumns)),
        width_(panels_ * kPanelColumns),
        position_(attention.keys - attention.queries + first),
        end_(position_ + count_),
        begin_(attention.window > 0
                   ? std::max<std::int64_t>(0, position_ - attention.window + 1) / kPanelRows * kPanelRows
                   : 0),
        query_(width_ * attention.dim),
        scores_(padded(end_ - begin_, kPanelRows) * width_),
        turned_(padded(attention.dim, kPanelRows) * width_) {}

  void run(const PackedForms& head, std::int64_t batch, std::int64_t query_head) {
    for (std::int64_t panel = 0; panel < panels_; ++panel) {
      const std::int64_t query = panel * kPanelColumns;
      pack_right_rows(a_.q.at(batch, query_head, first_ + query), a_.q.token_stride,
                      std::min(kPanelColumns, count_ - query), a_.dim, query_.data() + query * a_.dim);
    }
    score(head);
    hide();
    float sums[kMostTileColumns];
    for (std::int64_t query = 0; query < width_; query += kPanelColumns)
      kernel_.softmax_columns(scores_.data() + query, end_ - begin_, width_, a_.scale, sums + query);
    weigh(head);
    divide_rows(turned_.data(), a_.dim, width_, sums);
    for (std::int64_t query = 0; query < count_; ++query) {
      float* target = a_.out.at(batch, query_head, first_ + query);
      for (std::int64_t i = 0; i < a_.dim; ++i) target[i] = turned_.data()[i * width_ + query];
    }
  }

 private:
  // Keys that all queries of the block see in the old form, and the first that all see in the recent one.
  struct Border {
    std::int64_t low, high;
  };
  [[nodiscard]] Border border(const OldForm& form) const {
    if (form.count == nullptr) return {begin_, begin_};
    const auto inside = [&](std::int64_t key) { return std::clamp(key, begin_, end_); };
    return {inside(form.count[first_]), inside(form.count[first_ + count_ - 1])};
  }

  void score_panels(const PackedHead& form, std::int64_t key, std::int64_t panels, float* target) const {
    kernel_.multiply({.left = form.keys.data() + key * a_.dim,
                      .right = query_.data(),
                      .depth = a_.dim,
                      .target = target,
                      .target_stride = width_,
                      .start = nullptr,
                      .resume = false,
                      .row_panels = panels,
                      .column_panels = panels_,
                      .left_stride = kPanelRows * a_.dim,
                      .right_stride = kPanelColumns * a_.dim});
  }

  // Panels of the next tile among the rows from `begin` on.
  [[nodiscard]] std::int64_t panels_from(std::int64_t begin, std::int64_t end) const {
    return std::min(kernel_.row_panels, ceil_divide(end - begin, kPanelRows));
  }

  void score(const PackedForms& head) {
    const Border border = this->border(a_.old_k);
    std::int64_t panels = 0;
    for (std::int64_t key = begin_; key < end_; key += panels * kPanelRows) {
      float* target = scores_.data() + (key - begin_) * width_;
      panels = panels_from(key, end_);
      const std::int64_t next = key + panels * kPanelRows;
      if (key >= border.high) {
        score_panels(head.recent, key, panels, target);
      } else if (next <= border.low) {
        score_panels(*head.old, key, panels, target);
      } else {
        float old[kMostTileRows * kMostTileColumns];
        score_panels(head.recent, key, panels, target);
        score_panels(*head.old, key, panels, old);
        for (std::int64_t row = 0; row < next - key; ++row) {
          for (std::int64_t query = 0; query < count_; ++query) {
            if (key + row < a_.old_k.count[first_ + query]) target[row * width_ + query] = old[row * width_ + query];
          }
        }
      }
    }
  }

  // Adds to the output what keys begin .. end - 1 bring, whose weights stand one behind the other.
  void add_values(const PackedHead& form, std::int64_t begin, std::int64_t end, const float* weights, bool resume) {
    for (std::int64_t key = begin; key < end; key += kKeyBlock) {
      std::int64_t panels = 0;
      for (std::int64_t i = 0; i < a_.dim; i += panels * kPanelRows) {
        panels = panels_from(i, a_.dim);
        kernel_.multiply({.left = form.values.data() + i * a_.keys + key * kPanelRows,
                          .right = weights + (key - begin) * width_,
                          .depth = std::min(kKeyBlock, end - key),
                          .target = turned_.data() + i * width_,
                          .target_stride = width_,
                          .start = nullptr,
                          .resume = resume || key > begin,
                          .row_panels = panels,
                          .column_panels = panels_,
                          .left_stride = kPanelRows * a_.keys,
                          .right_stride = kPanelColumns,
                          .right_step = width_});
      }
    }
  }

  // Where the queries' forms differ, each key is added in both, with a weight of 0 in the one that a query does not
  // see: that leaves its sum as it was, so that every query's is one chain over the keys in their order.
  void weigh(const PackedForms& head) {
    const Border border = this->border(a_.old_v);
    const auto weights = [&](std::int64_t key) { return scores_.data() + (key - begin_) * width_; };
    if (border.low > begin_) add_values(*head.old, begin_, border.low, weights(begin_), /*resume=*/false);
    if (border.high > border.low) {
      const std::int64_t rows = border.high - border.low;
      AlignedBuffer old(rows * width_);
      for (std::int64_t row = 0; row < rows; ++row) {
        float* recent = weights(border.low + row);
        for (std::int64_t query = 0; query < width_; ++query) {
          const std::int64_t seen = std::min(query, count_ - 1);
          const bool is_old = border.low + row < a_.old_v.count[first_ + seen];
          old.data()[row * width_ + query] = is_old ? recent[query] : 0.0F;
          if (is_old) recent[query] = 0.0F;
        }
      }
      add_values(*head.old, border.low, border.high, old.data(), border.low > begin_);
      add_values(head.recent, border.low, border.high, weights(border.low), /*resume=*/true);
    }
    if (end_ > border.high) {
      add_values(head.recent, border.high, end_, weights(border.high), border.high > begin_);
    }
  }

  // Scores of keys that a query may not see.
  void hide() {
    constexpr float kHidden = -std::numeric_limits<float>::infinity();
    const auto row = [&](std::int64_t key) { return scores_.data() + (key - begin_) * width_; };
    for (std::int64_t key = position_ + 1; key < end_; ++key) std::fill_n(row(key), key - position_, kHidden);
    if (a_.window == 0) return;
    for (std::int64_t key = begin_; key < std::min(end_, position_ + count_ - a_.window); ++key) {
      const std::int64_t last = std::max<std::int64_t>(0, key + a_.window - position_);
      std::fill(row(key) + last, row(key) + count_, kHidden);
    }
  }

  const FloatAttention& a_;
  const PanelKernel& kernel_ = panel_kernel();
  std::int64_t first_, count_;
  std::int64_t panels_, width_;  // columns that hold them, and those of their panels
  std::int64_t position_;        // of the first query among the keys
  std::int64_t end_;             // one behind the last visible key
  std::int64_t begin_;           // the first visible key, down to a panel's begin
  AlignedBuffer query_, scores_, turned_;
};

}  // namespace

void attend_on_panels(const FloatAttention& a) {
  // Of packed heads, where there are several at a time: 1 MiB, which the second-level cache holds.
  constexpr std::int64_t kPackedNumbers = std::int64_t{1} << 18;
  const std::int64_t repeats = a.heads / a.kv_heads;
  const std::int64_t queries = QueryBlock::queries_of_unit();
  const std::int64_t blocks = ceil_divide(a.queries, queries);
  const std::int64_t together = std::clamp<std::int64_t>(kPackedNumbers / (2 * a.keys * a.dim), 1, a.kv_heads);
  const double moved = kPackingWork * 2.0 * static_cast<double>(a.keys * a.dim);
  const double work = 2.0 * static_cast<double>(repeats * a.queries) * static_cast<double>(a.keys * a.dim);
  std::vector<PackedForms> packed;
  packed.reserve(static_cast<std::size_t>(together));
  for (std::int64_t i = 0; i < together; ++i) packed.emplace_back(a);
  const auto forms = [&](std::int64_t head) -> PackedForms& {
    return packed[static_cast<std::size_t>(head % together)];
  };
  const std::int64_t steps = PackedForms::steps(a);
  for (std::int64_t batch = 0; batch < a.batch; ++batch) {
    for (std::int64_t first = 0; first < a.kv_heads; first += together) {
      const std::int64_t count = std::min(together, a.kv_heads - first);
      for_each_unit(count * steps, moved * static_cast<double>(count), [&](std::int64_t unit) {
        forms(first + unit / steps).fill(a, batch, first + unit / steps, unit % steps);
      });
      // The longest blocks come first, so that threads end together.
      const std::int64_t heads = count * repeats;
      for_each_unit(blocks * heads, work * static_cast<double>(count), [&](std::int64_t unit) {
        const std::int64_t block = blocks - 1 - unit / heads;
        const std::int64_t head = first * repeats + unit % heads;
        QueryBlock(a, block * queries).run(forms(head / repeats), batch, head);
      });
    }
  }
}

}  // namespace lowbit
