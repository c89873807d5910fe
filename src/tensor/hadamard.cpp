#include "tensor/hadamard.h"

#include <cmath>
#include <cstddef>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

bool is_prime(std::int64_t n) {
  if (n < 2) return false;
  for (std::int64_t d = 2; d * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return true;
}

// p when n is a prime p or its square, else 0.
std::int64_t prime_of(std::int64_t n) {
  if (is_prime(n)) return n;
  const auto root = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(n))));
  return root * root == n && is_prime(root) ? root : 0;
}

// The field of q = p or p^2 elements (p odd) as far as its squares go. An element a + b w of the larger field, w^2 = r
// a number that is no square modulo p, is the number a + b p.
class Field {
 public:
  Field(std::int64_t q, std::int64_t p) : q_(q), p_(p), squares_(static_cast<std::size_t>(q), false) {
    const std::int64_t r = q == p ? 0 : non_square();
    for (std::int64_t x = 1; x < q; ++x) {
      const std::int64_t a = x % p;
      const std::int64_t b = x / p;
      squares_[static_cast<std::size_t>((a * a + r * b * b) % p + 2 * a * b % p * p)] = true;
    }
  }

  /// 0 for equal elements, 1 when x - y is a square, else -1.
  [[nodiscard]] int character(std::int64_t x, std::int64_t y) const {
    if (x == y) return 0;
    const std::int64_t a = (x % p_ - y % p_ + p_) % p_;
    const std::int64_t b = (x / p_ - y / p_ + p_) % p_;
    return squares_[static_cast<std::size_t>(a + b * p_)] ? 1 : -1;
  }
  [[nodiscard]] std::int64_t size() const { return q_; }

 private:
  [[nodiscard]] std::int64_t non_square() const {
    for (std::int64_t r = 2;; ++r) {
      bool square = false;
      for (std::int64_t x = 1; x < p_ && !square; ++x) square = x * x % p_ == r;
      if (!square) return r;
    }
  }
  std::int64_t q_;
  std::int64_t p_;
  std::vector<bool> squares_;
};

// The bordered matrix of characters, [q + 1, q + 1]: zero diagonal, rows orthogonal; skew for q = 3 mod 4, symmetric
// for q = 1 mod 4.
std::vector<double> conference_matrix(const Field& field) {
  const std::int64_t n = field.size() + 1;
  const double below = field.size() % 4 == 3 ? -1.0 : 1.0;
  std::vector<double> matrix(static_cast<std::size_t>(n * n), 0.0);
  for (std::int64_t i = 1; i < n; ++i) {
    matrix[static_cast<std::size_t>(i)] = 1.0;
    matrix[static_cast<std::size_t>(i * n)] = below;
    for (std::int64_t j = 1; j < n; ++j) {
      matrix[static_cast<std::size_t>(i * n + j)] = field.character(i - 1, j - 1);
    }
  }
  return matrix;
}

std::vector<double> paley1(std::int64_t order) {
  const std::int64_t q = order - 1;
  std::vector<double> matrix = conference_matrix(Field(q, prime_of(q)));
  for (std::int64_t i = 0; i < order; ++i) matrix[static_cast<std::size_t>(i * order + i)] = 1.0;
  return matrix;
}

// Each entry of the conference matrix becomes its product with [[1, 1], [1, -1]], each 0 of the diagonal
// [[1, -1], [-1, -1]].
std::vector<double> paley2(std::int64_t order) {
  const std::int64_t half = order / 2;
  const std::vector<double> c = conference_matrix(Field(half - 1, prime_of(half - 1)));
  std::vector<double> matrix(static_cast<std::size_t>(order * order));
  for (std::int64_t i = 0; i < order; ++i) {
    for (std::int64_t j = 0; j < order; ++j) {
      const bool low_row = i % 2 == 1;
      const bool low_column = j % 2 == 1;
      const bool diagonal = i / 2 == j / 2;
      const double entry = diagonal ? (low_row || low_column ? -1.0 : 1.0) : (low_row && low_column ? -1.0 : 1.0);
      const double factor = diagonal ? 1.0 : c[static_cast<std::size_t>(i / 2 * half + j / 2)];
      matrix[static_cast<std::size_t>(i * order + j)] = factor * entry;
    }
  }
  return matrix;
}

// Gram-Schmidt on normal random numbers, each row twice, which leaves it orthogonal to rounding.
std::vector<double> orthonormal(std::int64_t order, std::uint64_t seed) {
  const Random random(seed, "rotation/core");
  const auto n = static_cast<std::size_t>(order);
  std::vector<double> rows(n * n);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = random.normal(i);
  const auto dot = [&](std::size_t a, std::size_t b) {
    double sum = 0;
    for (std::size_t k = 0; k < n; ++k) sum += rows[a * n + k] * rows[b * n + k];
    return sum;
  };
  for (std::size_t row = 0; row < n; ++row) {
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t before = 0; before < row; ++before) {
        const double share = dot(row, before);
        for (std::size_t k = 0; k < n; ++k) rows[row * n + k] -= share * rows[before * n + k];
      }
      const double length = std::sqrt(dot(row, row));
      for (std::size_t k = 0; k < n; ++k) rows[row * n + k] /= length;
    }
  }
  return rows;
}

}  // namespace

RotationCore paley_construction(std::int64_t order) {
  if (order < 4 || order % 4 != 0) return RotationCore::kNone;
  if (prime_of(order - 1) != 0) return RotationCore::kPaley1;
  const std::int64_t q = order / 2 - 1;
  return q % 4 == 1 && prime_of(q) != 0 ? RotationCore::kPaley2 : RotationCore::kNone;
}

std::vector<double> core_matrix(RotationCore core, std::int64_t order, std::uint64_t seed) {
  switch (core) {
    case RotationCore::kNone: return {1.0};
    case RotationCore::kPaley1: return paley1(order);
    case RotationCore::kPaley2: return paley2(order);
    case RotationCore::kOrthonormal: return orthonormal(order, seed);
  }
  fail(ErrorCode::kInternal, "unknown rotation core {}", static_cast<int>(core));
}

}  // namespace lowbit
