#include "tensor/float_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "tensor/aligned_buffer.h"
#include "tensor/float_panels.h"
#include "tensor/softmax_columns.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// Queries of a unit, one in each column of a panel.
constexpr std::int64_t kQueries = kPanelColumns;

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t padded(std::int64_t count, std::int64_t width) { return ceil_divide(count, width) * width; }

// Keys and values of one KV head as left panels: keys [keys / 6][dim][6], values [dim / 6][keys][6].
struct PackedHead {
  AlignedBuffer keys;
  AlignedBuffer values;

  explicit PackedHead(const FloatAttention& a)
      : keys(padded(a.keys, kPanelRows) * a.dim), values(padded(a.dim, kPanelRows) * a.keys) {}
  void fill(const FloatAttention& a, const HeadsView<const float>& k, const HeadsView<const float>& v,
            std::int64_t batch, std::int64_t head) {
    for (std::int64_t key = 0; key < a.keys; key += kPanelRows) {
      pack_left_rows(k.at(batch, head, key), k.token_stride, std::min(kPanelRows, a.keys - key), a.dim,
                     keys.data() + key * a.dim);
    }
    for (std::int64_t i = 0; i < a.dim; i += kPanelRows) {
      pack_left_columns(v.at(batch, head, 0) + i, v.token_stride, std::min(kPanelRows, a.dim - i), a.keys,
                        values.data() + i * a.keys);
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
  void fill(const FloatAttention& a, std::int64_t batch, std::int64_t head) {
    recent.fill(a, a.k, a.v, batch, head);
    if (old) old->fill(a, a.old_k.data, a.old_v.data, batch, head);
  }
};

// Sixteen neighbouring queries of one head. Scores stand as [key][query], so that the softmax runs down the columns and
// its result is the right side of the product with the values as it is.
class QueryBlock {
 public:
  QueryBlock(const FloatAttention& attention, std::int64_t first)
      : a_(attention),
        first_(first),
        count_(std::min(kQueries, attention.queries - first)),
        position_(attention.keys - attention.queries + first),
        end_(position_ + count_),
        begin_(attention.window > 0
                   ? std::max<std::int64_t>(0, position_ - attention.window + 1) / kPanelRows * kPanelRows
                   : 0),
        query_(kQueries * attention.dim),
        scores_(padded(end_ - begin_, kPanelRows) * kQueries),
        turned_(padded(attention.dim, kPanelRows) * kQueries) {}

  void run(const PackedForms& head, std::int64_t batch, std::int64_t query_head) {
    pack_right_rows(a_.q.at(batch, query_head, first_), a_.q.token_stride, count_, a_.dim, query_.data());
    score(head);
    hide();
    float sums[kQueries];
    softmax_columns(scores_.data(), end_ - begin_, a_.scale, sums);
    weigh(head);
    for (std::int64_t query = 0; query < count_; ++query) {
      float* target = a_.out.at(batch, query_head, first_ + query);
      for (std::int64_t i = 0; i < a_.dim; ++i) target[i] = turned_.data()[i * kQueries + query] / sums[query];
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
                      .target_stride = kQueries,
                      .start = nullptr,
                      .resume = false,
                      .row_panels = panels,
                      .left_stride = kPanelRows * a_.dim});
  }

  // Panels of the next tile among the rows from `begin` on.
  [[nodiscard]] std::int64_t panels_from(std::int64_t begin, std::int64_t end) const {
    return std::min(kernel_.row_panels, ceil_divide(end - begin, kPanelRows));
  }

  void score(const PackedForms& head) {
    const Border border = this->border(a_.old_k);
    std::int64_t panels = 0;
    for (std::int64_t key = begin_; key < end_; key += panels * kPanelRows) {
      float* target = scores_.data() + (key - begin_) * kQueries;
      panels = panels_from(key, end_);
      const std::int64_t next = key + panels * kPanelRows;
      if (key >= border.high) {
        score_panels(head.recent, key, panels, target);
      } else if (next <= border.low) {
        score_panels(*head.old, key, panels, target);
      } else {
        alignas(32) float old[kMostTileRows * kQueries];
        score_panels(head.recent, key, panels, target);
        score_panels(*head.old, key, panels, old);
        for (std::int64_t row = 0; row < next - key; ++row) {
          for (std::int64_t query = 0; query < count_; ++query) {
            if (key + row < a_.old_k.count[first_ + query])
              target[row * kQueries + query] = old[row * kQueries + query];
          }
        }
      }
    }
  }

  // Adds to the output what keys begin .. end - 1 bring, whose weights stand one behind the other.
  void add_values(const PackedHead& form, std::int64_t begin, std::int64_t end, const float* weights, bool resume) {
    std::int64_t panels = 0;
    for (std::int64_t i = 0; i < a_.dim; i += panels * kPanelRows) {
      panels = panels_from(i, a_.dim);
      kernel_.multiply({.left = form.values.data() + i * a_.keys + begin * kPanelRows,
                        .right = weights,
                        .depth = end - begin,
                        .target = turned_.data() + i * kQueries,
                        .target_stride = kQueries,
                        .start = nullptr,
                        .resume = resume,
                        .row_panels = panels,
                        .left_stride = kPanelRows * a_.keys});
    }
  }

  // Where the queries' forms differ, each key is added in both, with a weight of 0 in the one that a query does not
  // see: that leaves its sum as it was, so that every query's is one chain over the keys in their order.
  void weigh(const PackedForms& head) {
    const Border border = this->border(a_.old_v);
    const auto weights = [&](std::int64_t key) { return scores_.data() + (key - begin_) * kQueries; };
    if (border.low > begin_) add_values(*head.old, begin_, border.low, weights(begin_), /*resume=*/false);
    if (border.high > border.low) {
      const std::int64_t rows = border.high - border.low;
      AlignedBuffer old(rows * kQueries);
      for (std::int64_t row = 0; row < rows; ++row) {
        float* recent = weights(border.low + row);
        for (std::int64_t query = 0; query < kQueries; ++query) {
          const std::int64_t seen = std::min(query, count_ - 1);
          const bool is_old = border.low + row < a_.old_v.count[first_ + seen];
          old.data()[row * kQueries + query] = is_old ? recent[query] : 0.0F;
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
    for (std::int64_t key = begin_; key < end_; ++key) {
      float* row = scores_.data() + (key - begin_) * kQueries;
      for (std::int64_t query = 0; query < count_ && position_ + query < key; ++query) row[query] = kHidden;
      if (a_.window == 0) continue;
      for (std::int64_t query = std::max<std::int64_t>(0, key + a_.window - position_); query < count_; ++query)
        row[query] = kHidden;
    }
  }

  const FloatAttention& a_;
  const PanelKernel& kernel_ = panel_kernel();
  std::int64_t first_, count_;
  std::int64_t position_;  // of the first query among the keys
  std::int64_t end_;       // one behind the last visible key
  std::int64_t begin_;     // the first visible key, down to a panel's begin
  AlignedBuffer query_, scores_, turned_;
};

}  // namespace

void attend_on_panels(const FloatAttention& a) {
  const std::int64_t repeats = a.heads / a.kv_heads;
  const std::int64_t blocks = ceil_divide(a.queries, kQueries);
  const double work = 2.0 * static_cast<double>(a.batch * a.heads * a.queries) * static_cast<double>(a.keys * a.dim);
  // A KV head at a time bounds the memory. The longest blocks come first, so that threads end together.
  PackedForms head(a);
  for (std::int64_t batch = 0; batch < a.batch; ++batch) {
    for (std::int64_t kv_head = 0; kv_head < a.kv_heads; ++kv_head) {
      head.fill(a, batch, kv_head);
      for_each_unit(blocks * repeats, work / static_cast<double>(a.batch * a.kv_heads), [&](std::int64_t unit) {
        const std::int64_t block = blocks - 1 - unit / repeats;
        QueryBlock(a, block * kQueries).run(head, batch, kv_head * repeats + unit % repeats);
      });
    }
  }
}

}  // namespace lowbit
