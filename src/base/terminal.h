#pragma once

namespace lowbit {

/// Wipes a progress bar that stands on the last line of standard error, so that a message does not mix with it.
void clear_progress_line();

}  // namespace lowbit
