#pragma once

#include <span>

#include "lowbit/formats/grid.h"

namespace lowbit {

/// Takes the likely outliers out of one group: every weight w_k without which the rest would be rounded better, by more
/// than `threshold` in sum ((w - q) / diagonal)^2 with the grid fitted to the others, becomes the mean of the weights
/// that stay. The error of all weights on the grid fitted to all is what is compared with. Returns how many.
int replace_likely_outliers(std::span<float> weights, std::span<const float> diagonal, const GridSpec& grid,
                            double threshold);

}  // namespace lowbit
