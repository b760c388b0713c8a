// Other processes: killed ones, forked ones, second writers, readers.

#include "check.hpp"
#include "workload.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <map>
#include <random>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using workload::transaction;

namespace {

/// What a writer tells of a commit, in one write.
struct told {
  std::uint64_t txn;
  std::uint64_t seq;
  std::uint64_t epoch;
};

epochwal::coordinator_options rolling() {
  epochwal::coordinator_options options;
  options.segment_size = 64 * 1024;
  options.sequencing = EWAL_SEQUENCING_COORDINATOR;
  return options;
}

/// A child process that commits with several threads until it is killed.
class writer {
 public:
  writer(const std::string& db, std::uint64_t first, unsigned threads) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    std::fflush(nullptr);
    process_ = fork();
    if (process_ < 0) std::abort();
    if (process_ == 0) {
      close(ends[0]);
      commit_for_ever(db, first, threads, ends[1]);
    }
    close(ends[1]);
    from_ = ends[0];
  }
  ~writer() {
    kill();
    close(from_);
    waitpid(process_, nullptr, 0);
  }
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;

  /// What it tells next; false once it has died.
  bool hear(told& next) const { return read(from_, &next, sizeof next) == sizeof next; }
  void kill() const { ::kill(process_, SIGKILL); }

 private:
  [[noreturn]] static void commit_for_ever(const std::string& db, std::uint64_t first,
                                           unsigned threads, int to) noexcept {
    const epochwal::coordinator wal(db, rolling());
    std::atomic<std::uint64_t> next{first};
    const auto commit = [&] {
      for (;;) {
        const transaction work(next++, 0);
        const epochwal::ticket ticket = wal.commit(work.batch());
        const told line{work.id, ticket.commit_seq, ticket.epoch};
        if (write(to, &line, sizeof line) != sizeof line) std::abort();
      }
    };
    std::vector<std::thread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back(commit);
    commit();
    std::abort();
  }

  pid_t process_ = -1;
  int from_ = -1;
};

using ledger = std::map<std::uint64_t, told>;

/// The log holds all that was told, whole and once, in one dense row; gives
/// the last of it.
told check_log(const std::string& db, const ledger& acknowledged) {
  told last{0, 0, 0};
  ledger found;
  epochwal::recovery log(db);
  for (const epochwal::recovered_batch& batch : log) {
    CHECK(transaction(batch.txn_id, 0).is(batch));
    CHECK(batch.commit_seq == last.seq + 1);
    CHECK(batch.epoch >= last.epoch);
    last = {batch.txn_id, batch.commit_seq, batch.epoch};
    CHECK(found.emplace(batch.txn_id, last).second);
  }
  for (const auto& [txn, was] : acknowledged) {
    const auto at = found.find(txn);
    if (CHECK(at != found.end()))
      CHECK(at->second.seq == was.seq && at->second.epoch == was.epoch);
  }
  return last;
}

template <typename Body>
bool child_succeeds(Body body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    const int before = check::failures();
    body();
    std::fflush(nullptr);
    _exit(check::failures() == before ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST(a_kill_loses_nothing_that_was_told) {
  const std::string db = check::fresh_database();
  const char* given = getenv("EWAL_SEED");
  const std::uint32_t seed =
      given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 0))
                       : std::random_device{}();
  std::printf("EWAL_SEED=%u\n", seed);
  std::mt19937 dice(seed);
  ledger acknowledged;
  std::uint64_t last_epoch = 0;
  for (std::uint64_t life = 0; life < 20; ++life) {
    const writer victim(db, (life << 32) + 1, 1 + dice() % 4);
    told next{};
    for (unsigned n = dice() % 150 + 1; n > 0; --n) {
      REQUIRE(victim.hear(next));
      CHECK(next.epoch > last_epoch);
      CHECK(acknowledged.emplace(next.txn, next).second);
    }
    victim.kill();
    // What it told before the signal hit counts too.
    while (victim.hear(next)) CHECK(acknowledged.emplace(next.txn, next).second);
    last_epoch = check_log(db, acknowledged).epoch;
  }
  epochwal::coordinator wal(db, rolling());
  CHECK(wal.commit(transaction(1ULL << 40, 0).batch()).epoch > last_epoch);
  wal.close();
  check_log(db, acknowledged);
}

TEST(a_reader_sees_a_prefix_that_only_grows) {
  const std::string db = check::fresh_database();
  const writer other(db, 1, 4);
  ledger acknowledged;
  std::uint64_t seen = 0;
  for (int pass = 0; pass < 20; ++pass) {
    told next{};
    for (int n = 0; n < 20; ++n) {
      REQUIRE(other.hear(next));
      acknowledged.emplace(next.txn, next);
    }
    const std::uint64_t now = check_log(db, acknowledged).seq;
    CHECK(now >= seen);
    seen = now;
  }
}

TEST(a_second_writer_is_told_by_whatever_path_it_comes) {
  const std::string db = check::fresh_database();
  const std::string link = check::fresh_database();
  std::filesystem::create_symlink(db, link);
  epochwal::coordinator wal(link, rolling());
  const auto refused = [&] {
    for (const std::string& path : {db, link}) {
      CHECK_THROWS(EWAL_E_LOCKED, epochwal::coordinator(path, rolling()));
      CHECK_THROWS(EWAL_E_LOCKED, epochwal::cleanup_segments(path));
    }
  };
  refused();
  CHECK(child_succeeds(refused));
  wal.commit(transaction(1, 0).batch());
  wal.close();
  CHECK(child_succeeds([&] { epochwal::coordinator own(db, rolling()); }));
}

TEST(a_forked_child_is_told_and_its_destructors_touch_nothing) {
  const std::string db = check::fresh_database();
  const std::string of_child = check::fresh_database();
  epochwal::coordinator wal(db, rolling());
  wal.commit(transaction(1, 0).batch());
  epochwal::recovery reading(db);
  const epochwal::ticket staged = wal.submit(transaction(2, 0).batch());
  CHECK(child_succeeds([&] {
    epochwal::coordinator mine = std::move(wal);
    epochwal::recovery log = std::move(reading);
    CHECK_THROWS(EWAL_E_FORKED, (void)mine.submit(transaction(3, 0).batch()));
    CHECK_THROWS(EWAL_E_FORKED, mine.wait(staged));
    CHECK_THROWS(EWAL_E_FORKED, (void)mine.stats());
    CHECK_THROWS(EWAL_E_FORKED, mine.close());
    epochwal::coordinator own(of_child, rolling());
    own.commit(transaction(1, 0).batch());
    // Destroyed at the end of this block: all three.
  }));
  CHECK_THROWS(EWAL_E_LOCKED, epochwal::coordinator(db, rolling()));
  wal.wait(staged);
  wal.commit(transaction(3, 0).batch());
  wal.close();
  CHECK(check_log(db, {}).seq == 3);
  CHECK(check_log(of_child, {}).seq == 1);
}

TEST(an_exception_that_leaves_a_callback_ends_the_program) {
  CHECK(child_succeeds([] {
    // What ends well here is the handler; all that comes after it fails.
    std::set_terminate([] { _exit(0); });
    epochwal::coordinator wal(check::fresh_database(), rolling());
    wal.on_durable(wal.submit(transaction(1, 0).batch()),
                   [](std::uint64_t, ewal_status) { throw 1; });
    wal.close();
    CHECK(false);
  }));
}

int main() { return check::run(); }
