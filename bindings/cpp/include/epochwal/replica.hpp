/// @file
/// What a primary says of its replicas and slots, and is told by them.

#ifndef EPOCHWAL_REPLICA_HPP
#define EPOCHWAL_REPLICA_HPP

#include <epochwal/callback.hpp>
#include <epochwal/result.hpp>
#include <epochwal/view.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

EPOCHWAL_NAMESPACE_BEGIN

/// What a replica is given when it registers.
struct registration {
  /// Its slot's: for a new replica the end of the log.
  std::uint64_t restart_lsn = 0;
  /// Names the session: acknowledgements of any other are refused.
  std::uint64_t generation = 0;
  /// The slot was made now.
  bool created = false;
};

/// How far a replica has come. All of it only rises.
struct acknowledgement {
  /// The LSN through which it has received. What is durable or applied was.
  std::uint64_t written = 0;
  /// The LSN through which it has on stable storage.
  std::uint64_t durable = 0;
  /// The LSN through which it has applied.
  std::uint64_t applied = 0;
  /// Records that could not be applied, in all.
  std::uint64_t apply_errors = 0;
  /// Differences that it has found, in all.
  std::uint64_t divergences = 0;
};

/// What a replica must have done with a record.
enum class ack_level : std::uint32_t {
  /// A replica has received a record.
  written = EWAL_LEVEL_WRITTEN,
  /// A replica has made a record durable. The default.
  durable = EWAL_LEVEL_DURABLE,
  /// A replica has applied a record.
  applied = EWAL_LEVEL_APPLIED,
};

/// Which replicas must have a record, and how surely, before a commit counts:
/// "local", "2", "any 2 (a, b, c)", "first 2 (a, b, c)", "regions 1 (eu, us)". See
/// `ewal_ack_policy`. A text that is none of these is EWAL_E_INVALID.
class ack_policy {
 public:
  /// The policy as a text, such as "any 1", and what a replica must have done.
  template <class T, class = std::enable_if_t<std::is_constructible_v<text_arg, const T&>>>
  ack_policy(const T& text, ack_level level = ack_level::durable) : text_(text), level_(level) {}

  /// A commit whose policy is not met counts all the same where it is durable here.
  ack_policy& degrade(bool on = true) noexcept {
    degrade_ = on;
    return *this;
  }

  /// As the C functions want it; borrows from this object.
  [[nodiscard]] ewal_ack_policy to_c() const noexcept {
    ewal_ack_policy c = EWAL_ACK_POLICY_INIT;
    c.level = static_cast<std::uint32_t>(level_);
    c.flags = degrade_ ? EWAL_ACK_DEGRADE : 0;
    c.policy = text_.c_str();
    return c;
  }

 private:
  text_arg text_;
  ack_level level_;
  bool degrade_ = false;
};

/// A commit that counts.
struct ack_result {
  /// Its policy was not met: it counts because that lets it.
  bool degraded = false;
  /// Acknowledgements that count.
  std::uint32_t observed = 0;
  /// Acknowledgements that the policy asks for.
  std::uint32_t required = 0;
};

/// What a replica is to do that wants to go on. A later library may add kinds.
enum class resume_kind : std::uint32_t {
  /// Read on above `resume_lsn`.
  partial = EWAL_RESUME_PARTIAL,
  /// Be loaded from a snapshot; `cause` says why.
  rebootstrap = EWAL_RESUME_REBOOTSTRAP,
  /// Give up what is above `common_lsn`.
  diverged = EWAL_RESUME_DIVERGED,
};

/// Why a slot was given up, or a replica can't read on.
enum class slot_cause : std::uint32_t {
  /// It was not, and it can.
  none = 0,
  /// There is no slot.
  unknown = EWAL_CAUSE_UNKNOWN,
  /// The records that are needed are gone.
  wal_removed = EWAL_CAUSE_WAL_REMOVED,
  /// The slot held back more than the horizon.
  horizon = EWAL_CAUSE_HORIZON,
  /// The slot was not seen for too long.
  idle_timeout = EWAL_CAUSE_IDLE_TIMEOUT,
};

/// Such as "wal-removed".
[[nodiscard]] inline const char* name_of(slot_cause cause) noexcept {
  return ewal_cause_name(static_cast<std::uint32_t>(cause));
}

/// How a replica goes on.
struct resume_plan {
  /// What it is to do.
  resume_kind kind{};
  /// Why it can't read on; `none` where it can.
  slot_cause cause = slot_cause::none;
  /// `partial`: where it reads on.
  std::uint64_t resume_lsn = 0;
  /// `diverged`: the last LSN that both have.
  std::uint64_t common_lsn = 0;
};

/// How safe the records are that a slot needs.
enum class wal_status : std::uint32_t {
  /// The records are there, and the slot is not half way to the
  /// horizon.
  reserved = EWAL_WAL_RESERVED,
  /// They are there, and the slot is beyond half of the horizon.
  extended = EWAL_WAL_EXTENDED,
  /// They are there, and the slot is beyond the horizon: the next look
  /// at the limits gives it up.
  unreserved = EWAL_WAL_UNRESERVED,
  /// They are gone, or nothing holds them any more.
  lost = EWAL_WAL_LOST,
};

/// Such as "reserved".
[[nodiscard]] inline const char* name_of(wal_status status) noexcept {
  return ewal_wal_status_name(static_cast<std::uint32_t>(status));
}

namespace detail {
inline std::optional<std::string> string_or_none(const char* text) {
  return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
}
}  // namespace detail

/// A slot; see `ewal_slot_info`. Times are milliseconds since the Unix epoch.
struct slot_info {
  /// The replica's name.
  std::string id;
  /// None where it was given none.
  std::optional<std::string> region;
  /// Durable at the replica: nothing above it is pruned.
  std::uint64_t restart_lsn = 0;
  /// Applied by the replica.
  std::uint64_t confirmed_lsn = 0;
  /// The restart LSN that a crash would leave; 0 where that is none yet.
  std::uint64_t saved_lsn = 0;
  /// How safe the records are that it needs.
  epochwal::wal_status wal_status{};
  /// What may still be written before it is in danger; none where no horizon is
  /// set.
  std::optional<std::uint64_t> safe_wal_size;
  /// When the replica was seen last.
  std::uint64_t last_seen_ms = 0;
  /// When the slot was made.
  std::uint64_t created_ms = 0;
  /// Why it was given up; `none` where it was not.
  slot_cause cause = slot_cause::none;
  /// When it was given up; 0 where it was not.
  std::uint64_t invalidated_ms = 0;
  /// Not saved: gone when its replica unregisters or the primary closes.
  bool temporary = false;
  /// Its replica is a member of the registry.
  bool registered = false;
  /// Its replica is being loaded from a snapshot.
  bool rebootstrapping = false;

  slot_info() = default;
  /// What the C function lists, as its own.
  explicit slot_info(const ewal_slot_info& c)
      : id(c.id),
        region(detail::string_or_none(c.region)),
        restart_lsn(c.restart_lsn),
        confirmed_lsn(c.confirmed_lsn),
        saved_lsn(c.saved_lsn),
        wal_status(static_cast<epochwal::wal_status>(c.wal_status)),
        last_seen_ms(c.last_seen_ms),
        created_ms(c.created_ms),
        cause(static_cast<slot_cause>(c.cause)),
        invalidated_ms(c.invalidated_ms),
        temporary(c.temporary),
        registered(c.registered),
        rebootstrapping(c.rebootstrapping) {
    if (c.safe_wal_size != UINT64_MAX) safe_wal_size = c.safe_wal_size;
  }
};

/// A member of the registry; see `ewal_replica_info`.
struct replica_info {
  /// Its name.
  std::string id;
  /// None where it has none.
  std::optional<std::string> region;
  /// Of its session; 0 where it has had none since the primary was opened.
  std::uint64_t generation = 0;
  /// When its session began; 0 where it has none.
  std::uint64_t connected_at_ms = 0;
  /// When it was seen last.
  std::uint64_t last_seen_ms = 0;
  /// It was seen within healthy_for_ns, as of the last look at the limits.
  bool healthy = false;
  /// It is being loaded from a snapshot.
  bool rebootstrapping = false;
  /// Commits may count on it: its slot is valid, and it is not being
  /// rebootstrapped.
  bool counts = false;
  /// The LSN through which it was sent records.
  std::uint64_t sent_lsn = 0;
  /// The LSN through which it has received.
  std::uint64_t written_lsn = 0;
  /// The LSN through which it has on stable storage.
  std::uint64_t durable_lsn = 0;
  /// The LSN through which it has applied.
  std::uint64_t applied_lsn = 0;
  /// Records that it could not apply.
  std::uint64_t apply_errors = 0;
  /// Differences that it has found.
  std::uint64_t divergences = 0;

  replica_info() = default;
  /// What the C function lists, as its own.
  explicit replica_info(const ewal_replica_info& c)
      : id(c.id),
        region(detail::string_or_none(c.region)),
        generation(c.generation),
        connected_at_ms(c.connected_at_ms),
        last_seen_ms(c.last_seen_ms),
        healthy(c.healthy),
        rebootstrapping(c.rebootstrapping),
        counts(c.counts),
        sent_lsn(c.sent_lsn),
        written_lsn(c.written_lsn),
        durable_lsn(c.durable_lsn),
        applied_lsn(c.applied_lsn),
        apply_errors(c.apply_errors),
        divergences(c.divergences) {}
};

/// How far the replicas are together; see `ewal_progress`.
struct replication_progress {
  /// Replicas that are counted here.
  std::uint64_t replicas = 0;
  /// The highest LSN that was sent to one.
  std::uint64_t highest_sent = 0;
  /// The lowest that one has applied; 0 where there is none.
  std::uint64_t lowest_applied = 0;
  /// The distance of the two.
  std::uint64_t lag = 0;
  /// The lowest LSN that one has durable: all of them can replay to it; 0
  /// where there is none.
  std::uint64_t safe_replay_lsn = 0;
  /// None where no slot is valid.
  std::optional<std::uint64_t> retention_floor;
  /// The highest LSN that a commit wait called reached.
  std::uint64_t quorum_lsn = 0;

  replication_progress() = default;
  /// What the C function gives.
  explicit replication_progress(const ewal_progress& c) noexcept
      : replicas(c.replicas),
        highest_sent(c.highest_sent),
        lowest_applied(c.lowest_applied),
        lag(c.lag),
        safe_replay_lsn(c.safe_replay_lsn),
        quorum_lsn(c.quorum_lsn) {
    if (c.has_retention_floor) retention_floor = c.retention_floor;
  }
};

/// What an event is about. A later library may add kinds.
enum class event_kind : std::uint32_t {
  /// A slot was given up (slot_id, cause, lsn: where it stood).
  slot_invalidated = EWAL_EVENT_SLOT_INVALIDATED,
  /// A commit counts although its policy was not met (lsn, observed,
  /// required).
  commit_degraded = EWAL_EVENT_COMMIT_DEGRADED,
  /// A crash had cut a save short that was never acknowledged (count:
  /// bytes dropped).
  store_torn_tail = EWAL_EVENT_STORE_TORN_TAIL,
  /// A damaged or lost slot store was replaced by what could be read of it
  /// (count: slots).
  store_salvaged = EWAL_EVENT_STORE_SALVAGED,
  /// The slots of another store were taken over (count: slots).
  slots_imported = EWAL_EVENT_SLOTS_IMPORTED,
  /// There was no space to save slots; it is tried again.
  store_without_space = EWAL_EVENT_STORE_WITHOUT_SPACE,
  /// The slot store has failed for good (message).
  store_failed = EWAL_EVENT_STORE_FAILED,
};

/// Something that an operator wants to hear of; see `ewal_primary_event`.
struct primary_event {
  /// Events are numbered from 1; a gap is what a reader was too late for.
  std::uint64_t number = 0;
  /// When, in milliseconds since the Unix epoch.
  std::uint64_t at_ms = 0;
  /// Says what of the rest is set.
  event_kind kind{};
  /// Why a slot was given up.
  slot_cause cause = slot_cause::none;
  /// Of a slot.
  std::optional<std::string> slot_id;
  /// Why.
  std::optional<std::string> message;
  /// A slot's place, or a commit's.
  std::uint64_t lsn = 0;
  /// Of bytes or of slots.
  std::uint64_t count = 0;
  /// Acknowledgements there were.
  std::uint32_t observed = 0;
  /// Acknowledgements the policy asks for.
  std::uint32_t required = 0;

  primary_event() = default;
  /// What the C function lists, as its own.
  explicit primary_event(const ewal_primary_event& c)
      : number(c.number),
        at_ms(c.at_ms),
        kind(static_cast<event_kind>(c.kind)),
        cause(static_cast<slot_cause>(c.cause)),
        slot_id(detail::string_or_none(c.slot_id)),
        message(detail::string_or_none(c.message)),
        lsn(c.lsn),
        count(c.count),
        observed(c.observed),
        required(c.required) {}
};

namespace detail {

/// A C function that fills an `ewal_ack_result`.
template <class F>
result<ack_result> acks(F&& function) {
  ewal_ack_result c = EWAL_ACK_RESULT_INIT;
  c_error e;
  const ewal_status status = function(&c, static_cast<ewal_error*>(&e));
  if (status == EWAL_OK) return ack_result{c.degraded, c.observed, c.required};
  if (c.required == 0) return e.as_unexpected(status);
  return e.as_unexpected(status, std::nullopt, missed_acks{c.observed, c.required});
}

}  // namespace detail

EPOCHWAL_NAMESPACE_END

#endif
