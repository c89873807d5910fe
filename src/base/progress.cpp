#include "lowbit/base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>

#include "base/terminal.h"

namespace lowbit {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> bar_is_shown{false};

// Unlike fmt::print it does not throw when standard error is closed or full.
void print(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

// Cuts a line to `width` bytes without splitting a character.
void cut(std::string& line, std::size_t width) {
  if (line.size() <= width) return;
  while (width > 0 && (static_cast<unsigned char>(line[width]) & 0xC0) == 0x80) --width;
  line.resize(width);
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

std::string rate_text(double rate, const std::string& unit) {
  return rate >= 1.0 ? fmt::format("{:.1f} {}/s", rate, unit)
                     : fmt::format("{} a {}", duration_text(rate > 0 ? 1.0 / rate : 0),
                                   unit.ends_with('s') ? unit.substr(0, unit.size() - 1) : unit);
}

int terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

class ConsoleTask : public ProgressTask {
 public:
  ConsoleTask(std::string title, std::int64_t total, std::string unit, bool terminal)
      : title_(std::move(title)),
        unit_(std::move(unit)),
        total_(total),
        terminal_(terminal),
        start_(Clock::now()),
        last_(start_) {
    if (terminal_) show();
  }
  ~ConsoleTask() override {
    clear_progress_line();
    const double seconds = elapsed();
    print(fmt::format("{}: {} of {} {} in {}\n", title_, done_, total_, unit_, duration_text(seconds)));
  }
  void advance(std::int64_t count) override {
    done_ += count;
    const auto now = Clock::now();
    const auto interval = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(15000);
    if (now - last_ < interval) return;
    last_ = now;
    show();
  }
  void note(std::string_view text) override {
    note_ = text;
    if (terminal_) show();
  }

 private:
  [[nodiscard]] double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  void show() {
    const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 0.0;
    const double seconds = elapsed();
    std::string tail;
    if (done_ > 0) {
      const double rate = static_cast<double>(done_) / std::max(seconds, 1e-9);
      tail = fmt::format(" {}, {} left", rate_text(rate, unit_),
                         duration_text(static_cast<double>(total_ - done_) / rate));
    }
    if (!terminal_) {
      print(fmt::format("{}: {} of {} {} ({:.0f} %),{}\n", title_, done_, total_, unit_, 100.0 * share, tail));
      return;
    }
    constexpr int kBar = 24;
    const int filled = std::clamp(static_cast<int>(share * kBar), 0, kBar);
    std::string line = fmt::format("{} [{}{}] {}/{}{}", title_, std::string(filled, '#'),
                                   std::string(kBar - filled, '.'), done_, total_, tail);
    if (!note_.empty()) line += "  " + note_;
    cut(line, static_cast<std::size_t>(std::max(terminal_width() - 1, 10)));
    print("\r\x1b[K" + line);
    bar_is_shown = true;
  }

  std::string title_;
  std::string unit_;
  std::string note_;
  std::int64_t total_;
  std::int64_t done_ = 0;
  bool terminal_;
  Clock::time_point start_;
  Clock::time_point last_;
};

class ConsoleProgress : public Progress {
 public:
  std::unique_ptr<ProgressTask> start(std::string title, std::int64_t total, std::string unit) override {
    return std::make_unique<ConsoleTask>(std::move(title), total, std::move(unit), ::isatty(STDERR_FILENO) != 0);
  }
};

class SilentTask : public ProgressTask {
 public:
  void advance(std::int64_t) override {}
  void note(std::string_view) override {}
};

class SilentProgress : public Progress {
 public:
  std::unique_ptr<ProgressTask> start(std::string, std::int64_t, std::string) override {
    return std::make_unique<SilentTask>();
  }
};

}  // namespace

void clear_progress_line() {
  if (bar_is_shown.exchange(false)) {
    print("\r\x1b[K");
  }
}

std::unique_ptr<Progress> silent_progress() { return std::make_unique<SilentProgress>(); }
std::unique_ptr<Progress> console_progress() { return std::make_unique<ConsoleProgress>(); }

}  // namespace lowbit
