/// @file
/// The writer's side: stage batches, wait until they are durable.

#ifndef EPOCHWAL_COORDINATOR_HPP
#define EPOCHWAL_COORDINATOR_HPP

#include <epochwal/callback.hpp>
#include <epochwal/descriptor.hpp>
#include <epochwal/result.hpp>
#include <epochwal/view.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#ifdef EPOCHWAL_COROUTINES
#include <epochwal/durable.hpp>
#endif

EPOCHWAL_NAMESPACE_BEGIN

/// The options of `ewal_coordinator_options`, at their defaults. Fields are
/// those of the C struct, documented there; zero is the default everywhere.
struct coordinator_options : ewal_coordinator_options {
  coordinator_options() noexcept
      : ewal_coordinator_options(EWAL_COORDINATOR_OPTIONS_INIT) {}

  /// The longest that a batch on which nobody waits stays unsealed.
  coordinator_options& epoch_interval(interval time) noexcept {
    epoch_interval_ns = time.count();
    return *this;
  }
  /// What nobody waits for stays staged until a flush.
  coordinator_options& epoch_interval(forever_t) noexcept {
    epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
    return *this;
  }
  /// How long a submit waits for room in a full lane.
  coordinator_options& block_timeout(interval time) noexcept {
    block_timeout_ns = time.count();
    return *this;
  }
};

/// A parallel page WAL with epoch group commit: `ewal_coordinator`, closed at
/// the end of its life. Any number of threads may call the const members of
/// one object at a time; moving and destroying want it alone.
///
/// Each operation is there twice: `x()` throws `error`, `try_x()` returns a
/// result and is all there is without exceptions.
class coordinator {
 public:
  /// Holds nothing, as after a move: every call answers EWAL_E_INVALID.
  coordinator() noexcept = default;

  /// Leaves nothing behind.
  coordinator(coordinator&& other) noexcept : handle_(other.release()) {}
  /// Closes what it held before.
  coordinator& operator=(coordinator&& other) noexcept {
    if (this != &other) {
      close_quietly();
      handle_ = other.release();
    }
    return *this;
  }
  coordinator(const coordinator&) = delete;
  coordinator& operator=(const coordinator&) = delete;

  /// Seals, flushes and closes; blocks as long as that takes, and says
  /// nothing about what could not be made durable: call `close` to know. Inside
  /// a callback closing is refused, and the log stays open until the process
  /// ends.
  ~coordinator() { close_quietly(); }

  /// Opens the log of the database at `path`. A second writer gets
  /// EWAL_E_LOCKED.
  static result<coordinator> try_open(path_view path, const coordinator_options& options = {}) {
    return opened(ewal_coordinator_open, path, options);
  }

  /// The process's one coordinator of this database, opened by the first to
  /// ask and closed by the last. Other options than the first's are an error.
  static result<coordinator> try_for_path(path_view path,
                                          const coordinator_options& options = {}) {
    return opened(ewal_coordinator_for_path, path, options);
  }

  /// Stages a batch. It becomes durable with the ticket's epoch.
  [[nodiscard]] result<ticket> try_submit(const batch& work) const {
    return staged(work, [this](const ewal_batch* b, ewal_ticket* t, ewal_error* e) {
      return ewal_submit(handle_, b, t, e);
    });
  }

  /// Stages a batch and waits until it is durable. Where the wait failed and
  /// the batch stays staged, the error's `staged()` has the ticket.
  [[nodiscard]] result<ticket> try_commit(const batch& work, timeout time = forever) const {
    return staged(work, [this, time](const ewal_batch* b, ewal_ticket* t, ewal_error* e) {
      return ewal_commit(handle_, b, time.count(), t, e);
    });
  }

  /// Waits until `epoch` is durable. EWAL_TIMEOUT: still pending.
  result<void> try_wait(std::uint64_t epoch, timeout time = forever) const {
    return detail::call(
        [&](ewal_error* e) { return ewal_wait(handle_, epoch, time.count(), e); });
  }
  /// Waits until the ticket's epoch is durable.
  result<void> try_wait(const ticket& staged, timeout time = forever) const {
    return try_wait(staged.epoch, time);
  }

  /// Seals what is staged and waits for it; the epoch it waited for.
  result<std::uint64_t> try_flush(timeout time = forever) const {
    std::uint64_t epoch = 0;
    return detail::with(epoch, detail::call([&](ewal_error* e) {
                  return ewal_flush(handle_, time.count(), &epoch, e);
                }));
  }

  /// Starts a flush of `epoch` in the background.
  result<void> try_request_flush(std::uint64_t epoch) const {
    return detail::call([&](ewal_error* e) { return ewal_request_flush(handle_, epoch, e); });
  }
  /// Starts a flush of the ticket's epoch in the background.
  result<void> try_request_flush(const ticket& staged) const {
    return try_request_flush(staged.epoch);
  }

  /// The epoch that a batch staged now would get.
  [[nodiscard]] result<std::uint64_t> try_current_epoch() const {
    std::uint64_t epoch = 0;
    return detail::with(epoch, detail::call([&](ewal_error*) {
                  return ewal_current_epoch(handle_, &epoch);
                }));
  }

  /// The highest durable epoch; none before the first. Never blocks.
  [[nodiscard]] result<std::optional<std::uint64_t>> try_durable_epoch() const {
    std::uint64_t epoch = 0;
    bool any = false;
    auto done = detail::call(
        [&](ewal_error*) { return ewal_durable_epoch(handle_, &epoch, &any); });
    return detail::with(any ? std::optional<std::uint64_t>(epoch) : std::nullopt, std::move(done));
  }

  /// The caller's word that the pages of all epochs through this one are safe
  /// in the database file: their segments may be reused.
  result<void> try_checkpoint(std::uint64_t through_epoch) const {
    return detail::call(
        [&](ewal_error* e) { return ewal_checkpoint(handle_, through_epoch, e); });
  }

  /// The figures.
  [[nodiscard]] result<ewal_stats> try_stats() const {
    ewal_stats figures{};
    figures.struct_size = sizeof(figures);
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_coordinator_stats(handle_, &figures, e); });
    return detail::with(figures, std::move(done));
  }

  /// Frames staged in a lane and not yet sealed.
  [[nodiscard]] result<std::uint32_t> try_lane_backlog(std::uint32_t lane) const {
    std::uint32_t frames = 0;
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_lane_backlog(handle_, lane, &frames, e); });
    return detail::with(frames, std::move(done));
  }

  /// All figures as Prometheus text.
  [[nodiscard]] result<std::string> try_prometheus() const {
    return detail::text([&](char* buffer, std::size_t size, std::size_t* length, ewal_error* e) {
      return ewal_stats_prometheus(handle_, buffer, size, length, e);
    });
  }

  /// The files that an open with EWAL_OPEN_SALVAGE moved aside.
  [[nodiscard]] result<std::vector<std::string>> try_salvaged() const {
    std::vector<std::string> files;
    for (;;) {
      auto file = detail::text(
          [&](char* buffer, std::size_t size, std::size_t* length, ewal_error* e) {
            return ewal_coordinator_salvaged(handle_, files.size(), buffer, size, length, e);
          });
      if (file.has_value()) {
        files.push_back(*std::move(file));
      } else if (file.error().status() == EWAL_E_NOT_FOUND) {
        return files;
      } else {
        return detail::unexpected(std::move(file).error());
      }
    }
  }

  /// A descriptor of one's own that becomes readable each time the durable
  /// epoch advances, and after failure and close.
  [[nodiscard]] result<file_descriptor> try_event_fd() const {
    int fd = -1;
    auto done = detail::call([&](ewal_error* e) { return ewal_event_fd(handle_, &fd, e); });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return file_descriptor(fd);
  }

  /// Calls `function(epoch, status)` once, on a thread of the library, when
  /// `epoch` is durable or known not to become so, and before close returns.
  /// Any callable will do; it is moved in, and destroyed once it was called.
  /// Blocking calls on this library fail there with EWAL_E_DEADLOCK, and an
  /// exception that leaves it ends the program. Where this fails, the function
  /// is not called.
  template <class F>
  result<void> try_on_durable(std::uint64_t epoch, F&& function) const {
    return detail::give_callback(
        std::forward<F>(function),
        [&](ewal_durable_fn run, void* user, ewal_drop_fn drop, ewal_error* e) {
          return ewal_on_durable(handle_, epoch, run, user, drop, e);
        });
  }
  /// The same for the ticket's epoch.
  template <class F>
  result<void> try_on_durable(const ticket& staged, F&& function) const {
    return try_on_durable(staged.epoch, std::forward<F>(function));
  }

  /// Seals, flushes and closes. After EWAL_TIMEOUT and EWAL_E_DEADLOCK it is
  /// still open and can be closed again; after any other error it is closed,
  /// and the error says what is not durable. Once it is closed every call,
  /// this one too, answers EWAL_E_CLOSED. Any thread may call it while others
  /// use the object.
  result<void> try_close(timeout time = forever) const {
    // The handle is kept: that it is stale is the library's to know.
    return detail::call(
        [&](ewal_error* e) { return ewal_coordinator_close(handle_, time.count(), e); });
  }

#ifndef EPOCHWAL_NO_EXCEPTIONS
  /// @name Throwing
  /// @{

  /// What its `try_` twin does; throws where that gives an error.
  explicit coordinator(path_view path, const coordinator_options& options = {})
      : coordinator(open(path, options)) {}

  static coordinator open(path_view path, const coordinator_options& options = {}) {
    return detail::unwrap(try_open(path, options));
  }
  static coordinator for_path(path_view path, const coordinator_options& options = {}) {
    return detail::unwrap(try_for_path(path, options));
  }
  ticket submit(const batch& work) const { return detail::unwrap(try_submit(work)); }
  ticket commit(const batch& work, timeout time = forever) const {
    return detail::unwrap(try_commit(work, time));
  }
  void wait(std::uint64_t epoch, timeout time = forever) const {
    detail::unwrap(try_wait(epoch, time));
  }
  void wait(const ticket& staged, timeout time = forever) const { wait(staged.epoch, time); }
  std::uint64_t flush(timeout time = forever) const { return detail::unwrap(try_flush(time)); }
  void request_flush(std::uint64_t epoch) const { detail::unwrap(try_request_flush(epoch)); }
  void request_flush(const ticket& staged) const { request_flush(staged.epoch); }
  [[nodiscard]] std::uint64_t current_epoch() const {
    return detail::unwrap(try_current_epoch());
  }
  [[nodiscard]] std::optional<std::uint64_t> durable_epoch() const {
    return detail::unwrap(try_durable_epoch());
  }
  void checkpoint(std::uint64_t through_epoch) const {
    detail::unwrap(try_checkpoint(through_epoch));
  }
  [[nodiscard]] ewal_stats stats() const { return detail::unwrap(try_stats()); }
  [[nodiscard]] std::uint32_t lane_backlog(std::uint32_t lane) const {
    return detail::unwrap(try_lane_backlog(lane));
  }
  [[nodiscard]] std::string prometheus() const { return detail::unwrap(try_prometheus()); }
  [[nodiscard]] std::vector<std::string> salvaged() const {
    return detail::unwrap(try_salvaged());
  }
  [[nodiscard]] file_descriptor event_fd() const { return detail::unwrap(try_event_fd()); }
  template <class F>
  void on_durable(std::uint64_t epoch, F&& function) const {
    detail::unwrap(try_on_durable(epoch, std::forward<F>(function)));
  }
  template <class F>
  void on_durable(const ticket& staged, F&& function) const {
    on_durable(staged.epoch, std::forward<F>(function));
  }
  void close(timeout time = forever) const { detail::unwrap(try_close(time)); }
  /// @}
#endif

#ifdef EPOCHWAL_COROUTINES
  /// `co_await wal.durable(ticket)` goes on once that is durable, and throws, or
  /// gives a result where exceptions are off, as `wait` does. See
  /// `durable_awaiter` for the thread that goes on. An executor is a callable
  /// that takes the waiting `std::coroutine_handle<>`, and resumes it on a thread
  /// of its own choice.
  template <class Executor = resume_inline>
  [[nodiscard]] auto durable(std::uint64_t epoch, Executor&& executor = {}) const {
    using resume = std::decay_t<Executor>;
    return durable_awaiter<detail::awaited_epoch, resume>({handle_, epoch},
                                                          std::forward<Executor>(executor));
  }
  /// The same for the ticket's epoch.
  template <class Executor = resume_inline>
  [[nodiscard]] auto durable(const ticket& staged, Executor&& executor = {}) const {
    return durable(staged.epoch, std::forward<Executor>(executor));
  }
#endif

  /// The C handle, still owned by this object.
  [[nodiscard]] ewal_coordinator native_handle() const noexcept { return handle_; }
  /// Gives the C handle away: the caller closes it.
  [[nodiscard]] ewal_coordinator release() noexcept {
    return std::exchange(handle_, ewal_coordinator{});
  }
  /// Whether it holds a handle, open or closed.
  explicit operator bool() const noexcept { return handle_.id != 0; }

 private:
  explicit coordinator(ewal_coordinator handle) noexcept : handle_(handle) {}

  template <class Open>
  static result<coordinator> opened(Open open, path_view path,
                                    const coordinator_options& options) {
    ewal_coordinator handle{};
    auto done = detail::call(
        [&](ewal_error* e) { return open(path.c_str(), &options, &handle, e); });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return coordinator(handle);
  }

  template <class Stage>
  static result<ticket> staged(const batch& work, Stage&& stage) {
    ewal_batch c{};
    c.struct_size = sizeof(c);
    c.txn_epoch = work.txn_epoch;
    c.txn_id = work.txn_id;
    c.commit_seq = work.commit_seq;
    c.frames = work.frames.data();
    c.frame_count = work.frames.size();
    c.metadata.data = work.metadata.data();
    c.metadata.len = work.metadata.size();
    ewal_ticket given{};
    detail::c_error e;
    const ewal_status status = stage(&c, &given, &e);
    const ticket mine{given.epoch, given.commit_seq};
    if (status == EWAL_OK) return mine;
    // A ticket that is not zeroed is the sign that the batch stays staged.
    const bool kept = given.epoch != 0 || given.commit_seq != 0;
    return e.as_unexpected(status, kept ? std::optional<ticket>(mine) : std::nullopt);
  }

  void close_quietly() noexcept {
    if (handle_.id != 0) ewal_coordinator_close(release(), -1, nullptr);
  }

  ewal_coordinator handle_{};
};

EPOCHWAL_NAMESPACE_END

#endif
