#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

#include "lowbit/base/error.h"
#include "lowbit/tensor/decode.h"

namespace lowbit {
namespace {

constexpr std::align_val_t kLine{64};
// Positions that `fit` leaves room for.
constexpr std::int64_t kSpare = 64;

// Zeros, so that what is computed of keys that are not there yet is at least a number.
float* zeros(std::int64_t count) {
  const std::size_t bytes = static_cast<std::size_t>(std::max<std::int64_t>(count, 1)) * sizeof(float);
  auto* data = static_cast<float*>(::operator new(bytes, kLine));
  std::memset(data, 0, bytes);
  return data;
}

}  // namespace

void DecodeCache::Free::operator()(float* data) const { ::operator delete(data, kLine); }

DecodeCache::DecodeCache(std::int64_t sequences, std::int64_t kv_heads, std::int64_t dim, std::int64_t capacity,
                         Room room)
    : kv_heads_(kv_heads), dim_(dim), capacity_(padded(capacity)), sequences_(sequences), room_(room) {
  if (dim % kLanes != 0 || dim > kMostRotated) {
    fail(ErrorCode::kInternal, "decode cache: heads of {} numbers, expected a multiple of {} up to {}", dim, kLanes,
         kMostRotated);
  }
  for (Floats* side : {&keys_, &values_}) move(*side, room == Room::kWhole ? capacity_ : 0);
}

std::int64_t DecodeCache::token_bytes() const {
  return sequences_ * kv_heads_ * dim_ * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t DecodeCache::bytes() const { return (2 * length_ - keys_.handed() - values_.handed()) * token_bytes(); }

float* DecodeCache::first(const Floats& floats, std::int64_t sequence, std::int64_t head) const {
  return floats.data.get() + (sequence * kv_heads_ + head) * dim_ * floats.room;
}

float* DecodeCache::number(Side side, std::int64_t sequence, std::int64_t head, std::int64_t position) const {
  const std::int64_t place = position - floats(side).begin;
  float* head_data = first(floats(side), sequence, head);
  return side == Side::kKeys ? head_data + place / kLanes * kLanes * dim_ + place % kLanes : head_data + place * dim_;
}

std::int64_t DecodeCache::step(Side side) { return side == Side::kKeys ? kLanes : 1; }

void DecodeCache::move(Floats& floats, std::int64_t room) const {
  Floats moved{nullptr, floats.handed(), room, floats.rounded, floats.rows};
  const bool elsewhere = room != floats.room || !floats.data;
  if (elsewhere) moved.data.reset(zeros(sequences_ * kv_heads_ * dim_ * room));
  const std::int64_t left = padded(length_ - floats.handed()) * dim_;
  for (std::int64_t unit = 0; left > 0 && unit < sequences_ * kv_heads_; ++unit) {
    const float* from = first(floats, 0, unit) + (floats.handed() - floats.begin) * dim_;
    float* to = elsewhere ? first(moved, 0, unit) : first(floats, 0, unit);
    std::memmove(to, from, static_cast<std::size_t>(left) * sizeof(float));
  }
  if (!elsewhere) moved.data = std::move(floats.data);
  floats = std::move(moved);
}

void DecodeCache::reserve(std::int64_t tokens) {
  const std::int64_t end = std::min(capacity_, length_ + tokens);
  for (Floats* side : {&keys_, &values_}) {
    if (end - side->begin <= side->room) continue;
    const std::int64_t needed = end - side->handed();
    // Not within the same room where little of it becomes free, so that moving is rare.
    const bool enough = needed + kSpare / 2 <= side->room;
    move(*side, enough ? side->room : padded(std::max(needed, std::min(capacity_, 2 * side->room))));
  }
}

void DecodeCache::fit() {
  if (room_ == Room::kWhole) return;
  for (Floats* side : {&keys_, &values_}) {
    move(*side, std::min(capacity_, padded(length_ - side->handed()) + kSpare));
  }
}

void DecodeCache::put(std::int64_t sequence, std::int64_t head, std::int64_t tokens, const float* k, const float* v,
                      std::int64_t k_stride, std::int64_t v_stride) {
  const std::int64_t end = length_ + tokens;
  if (end > capacity_ || end - keys_.begin > keys_.room || end - values_.begin > values_.room) {
    fail(ErrorCode::kInternal, "decode cache: {} tokens behind {}, with room for {}", tokens, length_, capacity_);
  }
  for (std::int64_t token = 0; token < tokens; ++token) {
    float* key = number(Side::kKeys, sequence, head, length_ + token);
    for (std::int64_t i = 0; i < dim_; ++i) key[i * kLanes] = k[token * k_stride + i];
    std::copy_n(v + token * v_stride, dim_, number(Side::kValues, sequence, head, length_ + token));
  }
}

void DecodeCache::advance(std::int64_t tokens) { length_ += tokens; }

void DecodeCache::read(Side side, std::int64_t begin, std::int64_t count, float* rows) const {
  LOWBIT_ASSERT(begin >= floats(side).handed() && count >= 0 && begin + count <= length_);
  for (std::int64_t unit = 0; unit < sequences_ * kv_heads_; ++unit) {
    for (std::int64_t place = begin; place < begin + count; ++place) {
      const float* kept = number(side, 0, unit, place);
      for (std::int64_t i = 0; i < dim_; ++i) *rows++ = kept[i * step(side)];
    }
  }
}

void DecodeCache::hand_over(Side side, const RoundedRows& rows, std::int64_t count) {
  Floats& own = floats(side);
  const std::int64_t before = own.rounded;
  LOWBIT_ASSERT(count >= before && count <= length_);
  own.rows = &rows;
  own.rounded = count;
  float row[kMostRotated];
  for (std::int64_t unit = 0; unit < sequences_ * kv_heads_; ++unit) {
    for (std::int64_t place = std::max(before, own.handed()); place < count; ++place) {
      rows.read(unit / kv_heads_, unit % kv_heads_, place, 1, row);
      float* kept = number(side, 0, unit, place);
      for (std::int64_t i = 0; i < dim_; ++i) kept[i * step(side)] = row[i];
    }
  }
}

}  // namespace lowbit
