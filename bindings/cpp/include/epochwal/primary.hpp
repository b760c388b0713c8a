/// @file
/// The primary: a spool, and how far each replica has come.

#ifndef EPOCHWAL_PRIMARY_HPP
#define EPOCHWAL_PRIMARY_HPP

#include <epochwal/callback.hpp>
#include <epochwal/descriptor.hpp>
#include <epochwal/replica.hpp>
#include <epochwal/result.hpp>
#include <epochwal/spool.hpp>
#include <epochwal/view.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

EPOCHWAL_NAMESPACE_BEGIN

/// The options of `ewal_primary_options`, at their defaults. Fields are those of
/// the C struct, documented there; zero is the default everywhere.
struct primary_options : ewal_primary_options {
  primary_options() noexcept : ewal_primary_options(EWAL_PRIMARY_OPTIONS_INIT) {}

  /// Those of its spool, in place of the pointer of the C struct.
  spool_options spool;

  /// A replica is healthy while it was seen within this time.
  primary_options& healthy_for(interval time) noexcept {
    healthy_for_ns = time.count();
    return *this;
  }
  /// A slot that was not seen for this long is given up.
  primary_options& idle_timeout(interval time) noexcept {
    idle_timeout_ns = time.count();
    return *this;
  }
  /// No slot is given up because it was not seen.
  primary_options& idle_timeout(forever_t) noexcept {
    idle_timeout_ns = EWAL_IDLE_TIMEOUT_OFF;
    return *this;
  }
  /// Acknowledgements are saved at the latest after this long.
  primary_options& save_interval(interval time) noexcept {
    save_interval_ns = time.count();
    return *this;
  }
};

namespace detail {
/// A C function that lists what a primary has, without its first argument.
template <class Fn>
auto lister(ewal_status (*list)(ewal_primary, Fn, void*, ewal_error*), ewal_primary handle) {
  return [=](Fn each, void* user, ewal_error* e) { return list(handle, each, user, e); };
}
}  // namespace detail

/// A commit wait for event loops: `ewal_ack_watch`, given up at the end of its
/// life. It may outlive its primary, and gives EWAL_E_CLOSED then.
class ack_watch {
 public:
  /// Holds nothing, as after a move: every call answers EWAL_E_INVALID.
  ack_watch() noexcept = default;
  /// Leaves nothing behind.
  ack_watch(ack_watch&& other) noexcept : handle_(other.release()) {}
  /// Gives up what it held before.
  ack_watch& operator=(ack_watch&& other) noexcept {
    if (this != &other) {
      give_up();
      handle_ = other.release();
    }
    return *this;
  }
  ack_watch(const ack_watch&) = delete;
  ack_watch& operator=(const ack_watch&) = delete;
  ~ack_watch() { give_up(); }

  /// Whether `finish` would give anything but a timeout now.
  [[nodiscard]] result<bool> try_is_decided() const {
    bool decided = false;
    auto done = detail::call(
        [&](ewal_error* e) { return ewal_ack_watch_decided(handle_, &decided, e); });
    return detail::with(decided, std::move(done));
  }

  /// Ends it as `primary::try_wait_acks` ends when its time is up.
  result<ack_result> try_finish() {
    return detail::acks([handle = release()](ewal_ack_result* out, ewal_error* e) {
      return ewal_ack_watch_finish(handle, out, e);
    });
  }

#ifndef EPOCHWAL_NO_EXCEPTIONS
  /// @name Throwing
  /// @{

  /// What its `try_` twin does; throws where that gives an error.
  [[nodiscard]] bool is_decided() const { return detail::unwrap(try_is_decided()); }
  ack_result finish() { return detail::unwrap(try_finish()); }
  /// @}
#endif

  /// The C handle, still owned by this object.
  [[nodiscard]] ewal_ack_watch native_handle() const noexcept { return handle_; }
  /// Gives the C handle away: the caller finishes it.
  [[nodiscard]] ewal_ack_watch release() noexcept {
    return std::exchange(handle_, ewal_ack_watch{});
  }

 private:
  friend class primary;
  explicit ack_watch(ewal_ack_watch handle) noexcept : handle_(handle) {}

  void give_up() noexcept {
    if (handle_.id != 0) ewal_ack_watch_finish(release(), nullptr, nullptr);
  }

  ewal_ack_watch handle_{};
};

/// A spool with its slots and replicas: `ewal_primary`, closed at the end of its
/// life. Any number of threads may call the const members of one object at a
/// time; moving and destroying want it alone.
///
/// Each operation is there twice: `x()` throws `error`, `try_x()` returns a
/// result and is all there is without exceptions.
class primary {
 public:
  /// Holds nothing, as after a move: every call answers EWAL_E_INVALID.
  primary() noexcept = default;

  /// Leaves nothing behind.
  primary(primary&& other) noexcept : handle_(other.release()) {}
  /// Closes what it held before.
  primary& operator=(primary&& other) noexcept {
    if (this != &other) {
      close_quietly();
      handle_ = other.release();
    }
    return *this;
  }
  primary(const primary&) = delete;
  primary& operator=(const primary&) = delete;

  /// Saves, makes durable what is staged, and closes; blocks as long as that
  /// takes, and says nothing about what could not be: call `close` to know.
  ~primary() { close_quietly(); }

  /// Opens the primary of the data file at `path`: its spool, and the slots
  /// beside it.
  static result<primary> try_open(path_view path, const primary_options& options = {}) {
    // NULL would be a primary in memory.
    if (path.c_str() == nullptr) return detail::fail(EWAL_E_INVALID, "path is NULL");
    return open_at(path.c_str(), options);
  }

  /// Without files: records and slots live in memory.
  static result<primary> try_in_memory(const primary_options& options = {}) {
    return open_at(nullptr, options);
  }

  /// Its spool, lent: what this gives may be destroyed at any time, and closes
  /// nothing by that. It is EWAL_E_CLOSED after the primary.
  [[nodiscard]] result<epochwal::spool> try_spool() const {
    ewal_spool lent{};
    auto done = detail::call([&](ewal_error*) { return ewal_primary_spool(handle_, &lent); });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return epochwal::spool(lent);
  }

  /// Registers a replica, or connects it again: its older session ends. A new
  /// one pins the end of the log. Without a region it keeps the one it has.
  result<registration> try_register_replica(
      const text_arg& id, std::optional<text_arg> region = std::nullopt) const {
    return registered(ewal_primary_register, id, region);
  }
  /// The same, but a session that there is goes on.
  result<registration> try_ensure_registered(
      const text_arg& id, std::optional<text_arg> region = std::nullopt) const {
    return registered(ewal_primary_ensure_registered, id, region);
  }
  /// Takes a replica from the registry. Its slot stays.
  result<void> try_unregister_replica(const text_arg& id) const {
    return named(id, ewal_primary_unregister);
  }
  /// Notes that a replica is being loaded from a snapshot, or not any more.
  result<void> try_set_rebootstrapping(const text_arg& id, bool rebootstrapping) const {
    return named(id, ewal_primary_set_rebootstrapping, rebootstrapping);
  }
  /// Notes that a replica was sent records up to an LSN.
  result<void> try_note_pull(const text_arg& id, std::uint64_t generation,
                             std::uint64_t sent_lsn) const {
    return named(id, ewal_primary_note_pull, generation, sent_lsn);
  }
  /// Notes that a replica was heard of.
  result<void> try_touch(const text_arg& id, std::uint64_t generation) const {
    return named(id, ewal_primary_touch, generation);
  }

  /// Takes an acknowledgement of a session.
  result<void> try_ack(const text_arg& id, std::uint64_t generation,
                       const acknowledgement& of) const {
    ewal_ack c = EWAL_ACK_INIT;
    c.written = of.written;
    c.durable = of.durable;
    c.applied = of.applied;
    c.apply_errors = of.apply_errors;
    c.divergences = of.divergences;
    return named(id, ewal_primary_ack, generation, static_cast<const ewal_ack*>(&c));
  }

  /// How a replica goes on that has everything up to `since_lsn`, the last of it
  /// of `term` (0: it does not say).
  [[nodiscard]] result<resume_plan> try_plan_resume(const text_arg& id, std::uint64_t since_lsn,
                                                    std::uint64_t term = 0) const {
    ewal_resume c{};
    auto done = named(id, ewal_primary_plan_resume, since_lsn, term, &c);
    return detail::with(resume_plan{static_cast<resume_kind>(c.kind),
                                    static_cast<slot_cause>(c.cause), c.resume_lsn, c.common_lsn},
                        std::move(done));
  }

  /// Waits until the policy's replicas have the record at `lsn`. EWAL_TIMEOUT:
  /// not yet; EWAL_E_NOT_FOUND: those it asks for are not there. What it gives
  /// otherwise is reached, or counts as degraded.
  result<ack_result> try_wait_acks(std::uint64_t lsn, const ack_policy& policy,
                                   timeout time = forever) const {
    const ewal_ack_policy c = policy.to_c();
    return detail::acks([&](ewal_ack_result* out, ewal_error* e) {
      return ewal_primary_wait_acks(handle_, lsn, &c, time.count(), out, e);
    });
  }

  /// Begins a wait that nobody sleeps in; see `try_event_fd`.
  [[nodiscard]] result<ack_watch> try_watch_acks(std::uint64_t lsn,
                                                 const ack_policy& policy) const {
    const ewal_ack_policy c = policy.to_c();
    ewal_ack_watch handle{};
    auto done = detail::call([&](ewal_error* e) {
      return ewal_primary_watch_acks(handle_, lsn, &c, &handle, e);
    });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return ack_watch(handle);
  }

  /// A descriptor of one's own that becomes readable each time a watch is
  /// decided, and after failure and close.
  [[nodiscard]] result<file_descriptor> try_event_fd() const {
    int fd = -1;
    auto done =
        detail::call([&](ewal_error* e) { return ewal_primary_event_fd(handle_, &fd, e); });
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return file_descriptor(fd);
  }

  /// The LSN that at least `n` replicas have; 0 where there are fewer.
  [[nodiscard]] result<std::uint64_t> try_quorum_lsn(
      std::size_t n, ack_level level = ack_level::durable) const {
    std::uint64_t lsn = 0;
    auto done = detail::call([&](ewal_error* e) {
      return ewal_primary_quorum_lsn(handle_, n, static_cast<std::uint32_t>(level), &lsn, e);
    });
    return detail::with(lsn, std::move(done));
  }

  /// Calls `function(const slot_info&)` for each slot, by id, on this thread and
  /// under no lock. One that gives a bool goes on while it is true.
  template <class F>
  result<void> try_for_each_slot(F&& function) const {
    return detail::listing<slot_info, ewal_slot_info>(
        function, detail::lister(ewal_primary_slots, handle_));
  }
  /// All slots, by id.
  [[nodiscard]] result<std::vector<slot_info>> try_slots() const {
    return detail::collected<slot_info, ewal_slot_info>(
        detail::lister(ewal_primary_slots, handle_));
  }
  /// One slot; EWAL_E_NOT_FOUND where there is none of this id.
  [[nodiscard]] result<slot_info> try_slot(const text_arg& id) const {
    slot_info found;
    auto keep = [&](const slot_info& one) { found = one; };
    auto done = detail::listing<slot_info, ewal_slot_info>(
        keep, [&](ewal_slot_fn function, void* user, ewal_error* e) {
          return ewal_primary_slot(handle_, id.c_str(), function, user, e);
        });
    return detail::with(found, std::move(done));
  }
  /// Makes a slot at an LSN, or at the end of the spool. A temporary one is not
  /// saved.
  result<void> try_slot_create(const text_arg& id, std::optional<std::uint64_t> lsn = std::nullopt,
                               bool temporary = false) const {
    return named(id, ewal_primary_slot_create, lsn.value_or(EWAL_SLOT_AT_END), temporary);
  }
  /// Drops a slot, and its replica.
  result<void> try_slot_drop(const text_arg& id) const { return named(id, ewal_primary_slot_drop); }
  /// Revives a slot after a new bootstrap of its replica up to `lsn`; nullopt:
  /// the end of the spool.
  result<void> try_slot_reset(const text_arg& id, std::optional<std::uint64_t> lsn) const {
    return named(id, ewal_primary_slot_reset, lsn.value_or(EWAL_SLOT_AT_END));
  }

  /// As `try_for_each_slot`, for the members of the registry.
  template <class F>
  result<void> try_for_each_replica(F&& function) const {
    return detail::listing<replica_info, ewal_replica_info>(
        function, detail::lister(ewal_primary_replicas, handle_));
  }
  /// The members of the registry, by id.
  [[nodiscard]] result<std::vector<replica_info>> try_replicas() const {
    return detail::collected<replica_info, ewal_replica_info>(
        detail::lister(ewal_primary_replicas, handle_));
  }

  /// How far the replicas are together.
  [[nodiscard]] result<replication_progress> try_progress() const {
    ewal_progress c = EWAL_PROGRESS_INIT;
    auto done = detail::call([&](ewal_error* e) { return ewal_primary_progress(handle_, &c, e); });
    return detail::with(replication_progress(c), std::move(done));
  }

  /// Rises with each change of who the members are; survives a restart.
  [[nodiscard]] result<std::uint64_t> try_topology_epoch() const {
    std::uint64_t epoch = 0;
    auto done =
        detail::call([&](ewal_error*) { return ewal_primary_topology_epoch(handle_, &epoch); });
    return detail::with(epoch, std::move(done));
  }

  /// Gives up slots that are beyond a limit, and gives those. The time only
  /// stamps what is done; 0 is the system's.
  result<std::vector<slot_info>> try_enforce_limits(std::uint64_t now_unix_ms = 0) const {
    return detail::collected<slot_info, ewal_slot_info>(
        [&](ewal_slot_fn function, void* user, ewal_error* e) {
          return ewal_primary_enforce_limits(handle_, now_unix_ms, function, user, e);
        });
  }

  /// Prunes what no slot needs, not beyond the archive where there is one; how
  /// far pruning has come.
  result<std::uint64_t> try_prune(
      std::optional<std::uint64_t> archived_lsn = std::nullopt) const {
    std::uint64_t pruned = 0;
    auto done = detail::call([&](ewal_error* e) {
      return ewal_primary_prune(handle_, archived_lsn.value_or(EWAL_NO_ARCHIVE), &pruned, e);
    });
    return detail::with(pruned, std::move(done));
  }

  /// Saves at once what acknowledgements have raised.
  result<void> try_save() const {
    return detail::call([&](ewal_error* e) { return ewal_primary_save(handle_, e); });
  }

  /// The slots in the layout of the older store, which is JSON.
  [[nodiscard]] result<std::string> try_export_slots() const {
    return detail::text([&](char* buffer, std::size_t size, std::size_t* length, ewal_error* e) {
      return ewal_primary_export_slots(handle_, buffer, size, length, e);
    });
  }

  /// Where an open with EWAL_SALVAGE_SLOTS left the damaged slot store, if it did.
  [[nodiscard]] result<std::optional<std::string>> try_salvaged() const {
    auto path =
        detail::text([&](char* buffer, std::size_t size, std::size_t* length, ewal_error* e) {
          return ewal_primary_salvaged(handle_, buffer, size, length, e);
        });
    if (path.has_value()) return std::optional<std::string>(*std::move(path));
    if (path.error().status() == EWAL_E_NOT_FOUND) return std::optional<std::string>();
    return detail::unexpected(std::move(path).error());
  }

  /// The figures.
  [[nodiscard]] result<ewal_replication_stats> try_stats() const {
    ewal_replication_stats figures{};
    figures.struct_size = sizeof(figures);
    auto done =
        detail::call([&](ewal_error* e) { return ewal_primary_stats(handle_, &figures, e); });
    return detail::with(figures, std::move(done));
  }

  /// The events whose number is above `after`, oldest first, as far as they are
  /// kept.
  [[nodiscard]] result<std::vector<primary_event>> try_events_since(std::uint64_t after = 0) const {
    return detail::collected<primary_event, ewal_primary_event>(
        [&](ewal_primary_event_fn function, void* user, ewal_error* e) {
          return ewal_primary_events_since(handle_, after, function, user, e);
        });
  }

  /// Saves, makes durable what is staged, and closes; see
  /// `coordinator::try_close`.
  result<void> try_close(timeout time = forever) const {
    // The handle is kept: that it is stale is the library's to know.
    return detail::call(
        [&](ewal_error* e) { return ewal_primary_close(handle_, time.count(), e); });
  }

#ifndef EPOCHWAL_NO_EXCEPTIONS
  /// @name Throwing
  /// @{

  /// What its `try_` twin does; throws where that gives an error.
  explicit primary(path_view path, const primary_options& options = {})
      : primary(open(path, options)) {}

  static primary open(path_view path, const primary_options& options = {}) {
    return detail::unwrap(try_open(path, options));
  }
  static primary in_memory(const primary_options& options = {}) {
    return detail::unwrap(try_in_memory(options));
  }
  [[nodiscard]] epochwal::spool spool() const { return detail::unwrap(try_spool()); }
  registration register_replica(const text_arg& id,
                                std::optional<text_arg> region = std::nullopt) const {
    return detail::unwrap(try_register_replica(id, region));
  }
  registration ensure_registered(const text_arg& id,
                                 std::optional<text_arg> region = std::nullopt) const {
    return detail::unwrap(try_ensure_registered(id, region));
  }
  void unregister_replica(const text_arg& id) const { detail::unwrap(try_unregister_replica(id)); }
  void set_rebootstrapping(const text_arg& id, bool rebootstrapping) const {
    detail::unwrap(try_set_rebootstrapping(id, rebootstrapping));
  }
  void note_pull(const text_arg& id, std::uint64_t generation, std::uint64_t sent_lsn) const {
    detail::unwrap(try_note_pull(id, generation, sent_lsn));
  }
  void touch(const text_arg& id, std::uint64_t generation) const {
    detail::unwrap(try_touch(id, generation));
  }
  void ack(const text_arg& id, std::uint64_t generation, const acknowledgement& of) const {
    detail::unwrap(try_ack(id, generation, of));
  }
  [[nodiscard]] resume_plan plan_resume(const text_arg& id, std::uint64_t since_lsn,
                                        std::uint64_t term = 0) const {
    return detail::unwrap(try_plan_resume(id, since_lsn, term));
  }
  ack_result wait_acks(std::uint64_t lsn, const ack_policy& policy,
                       timeout time = forever) const {
    return detail::unwrap(try_wait_acks(lsn, policy, time));
  }
  [[nodiscard]] ack_watch watch_acks(std::uint64_t lsn, const ack_policy& policy) const {
    return detail::unwrap(try_watch_acks(lsn, policy));
  }
  [[nodiscard]] file_descriptor event_fd() const { return detail::unwrap(try_event_fd()); }
  [[nodiscard]] std::uint64_t quorum_lsn(std::size_t n,
                                         ack_level level = ack_level::durable) const {
    return detail::unwrap(try_quorum_lsn(n, level));
  }
  /// What `function` throws comes out again.
  template <class F>
  void for_each_slot(F&& function) const {
    detail::unwrap(try_for_each_slot(function));
  }
  [[nodiscard]] std::vector<slot_info> slots() const { return detail::unwrap(try_slots()); }
  [[nodiscard]] slot_info slot(const text_arg& id) const { return detail::unwrap(try_slot(id)); }
  void slot_create(const text_arg& id, std::optional<std::uint64_t> lsn = std::nullopt,
                   bool temporary = false) const {
    detail::unwrap(try_slot_create(id, lsn, temporary));
  }
  void slot_drop(const text_arg& id) const { detail::unwrap(try_slot_drop(id)); }
  void slot_reset(const text_arg& id, std::optional<std::uint64_t> lsn) const {
    detail::unwrap(try_slot_reset(id, lsn));
  }
  /// What `function` throws comes out again.
  template <class F>
  void for_each_replica(F&& function) const {
    detail::unwrap(try_for_each_replica(function));
  }
  [[nodiscard]] std::vector<replica_info> replicas() const {
    return detail::unwrap(try_replicas());
  }
  [[nodiscard]] replication_progress progress() const { return detail::unwrap(try_progress()); }
  [[nodiscard]] std::uint64_t topology_epoch() const {
    return detail::unwrap(try_topology_epoch());
  }
  std::vector<slot_info> enforce_limits(std::uint64_t now_unix_ms = 0) const {
    return detail::unwrap(try_enforce_limits(now_unix_ms));
  }
  std::uint64_t prune(std::optional<std::uint64_t> archived_lsn = std::nullopt) const {
    return detail::unwrap(try_prune(archived_lsn));
  }
  void save() const { detail::unwrap(try_save()); }
  [[nodiscard]] std::string export_slots() const { return detail::unwrap(try_export_slots()); }
  [[nodiscard]] std::optional<std::string> salvaged() const {
    return detail::unwrap(try_salvaged());
  }
  [[nodiscard]] ewal_replication_stats stats() const { return detail::unwrap(try_stats()); }
  [[nodiscard]] std::vector<primary_event> events_since(std::uint64_t after = 0) const {
    return detail::unwrap(try_events_since(after));
  }
  void close(timeout time = forever) const { detail::unwrap(try_close(time)); }
  /// @}
#endif

  /// The C handle, still owned by this object.
  [[nodiscard]] ewal_primary native_handle() const noexcept { return handle_; }
  /// Gives the C handle away: the caller closes it.
  [[nodiscard]] ewal_primary release() noexcept { return std::exchange(handle_, ewal_primary{}); }
  /// Whether it holds a handle, open or closed.
  explicit operator bool() const noexcept { return handle_.id != 0; }

 private:
  explicit primary(ewal_primary handle) noexcept : handle_(handle) {}

  static result<primary> open_at(const char* path, const primary_options& options) {
    ewal_spool_options of_spool = options.spool;
    detail::term_call terms(options.spool.terms_);
    terms.put_into(of_spool);
    ewal_primary_options c = options;
    c.spool = &of_spool;
    ewal_primary handle{};
    auto done =
        detail::call([&](ewal_error* e) { return ewal_primary_open(path, &c, &handle, e); });
    terms.throw_on();
    if (!done.has_value()) return detail::unexpected(std::move(done).error());
    return primary(handle);
  }

  /// A C function that wants the primary, an id, and what else.
  template <class F, class... Args>
  result<void> named(const text_arg& id, F function, Args... args) const {
    return detail::call([&](ewal_error* e) { return function(handle_, id.c_str(), args..., e); });
  }

  template <class F>
  result<registration> registered(F function, const text_arg& id,
                                  std::optional<text_arg> region) const {
    if (region.has_value() && region->c_str() == nullptr)
      return detail::fail(EWAL_E_INVALID, "region holds a zero byte");
    ewal_registration c{};
    auto done = named(id, function, region.has_value() ? region->c_str() : nullptr, &c);
    return detail::with(registration{c.restart_lsn, c.generation, c.created}, std::move(done));
  }

  void close_quietly() noexcept {
    if (handle_.id != 0) ewal_primary_close(release(), -1, nullptr);
  }

  ewal_primary handle_{};
};

EPOCHWAL_NAMESPACE_END

#endif
