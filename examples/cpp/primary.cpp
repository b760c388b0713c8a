// Commits lines once a replica has them.
//
//   primary DB < LINES
//
// The replica is a thread here; elsewhere it is another machine, and what passes
// between the two is the caller's to send. Run it again and the LSNs go on.

#include <epochwal/epochwal.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

using namespace std::chrono_literals;

/// Prints what it is sent, and says so, until the primary closes.
void replicate(const epochwal::primary& primary) {
  const epochwal::registration session = primary.register_replica("replica-1");
  // From where it was, whichever of the two was restarted.
  const auto plan = primary.plan_resume("replica-1", session.restart_lsn);
  if (plan.kind != epochwal::resume_kind::partial)
    throw std::runtime_error("load the replica anew");

  const epochwal::cursor tail(primary.spool(), plan.resume_lsn);
  for (const epochwal::records& batch : tail) {
    for (const epochwal::record& r : batch) std::cout << r.lsn << ' ' << r.text() << '\n';
    const std::uint64_t lsn = batch.back().lsn;
    primary.ack("replica-1", session.generation, {lsn, lsn, lsn});
  }
}

void commit_lines(const epochwal::primary& primary) {
  const epochwal::spool spool = primary.spool();
  std::uint64_t lsn = spool.bounds().current_lsn;
  std::string line;
  while (std::getline(std::cin, line)) {
    spool.append({1, ++lsn, line});                               // durable here
    primary.wait_acks(lsn, "any 1 (replica-1, replica-2)", 10s);  // and there
  }
}

void run(const char* db) {
  const epochwal::primary primary(db);
  // Here, so that it is a member before the first commit waits.
  primary.ensure_registered("replica-1");
  auto replica = std::async(std::launch::async, [&] { replicate(primary); });
  try {
    commit_lines(primary);
    // What every slot has passed need not be kept.
    std::cout << "pruned through " + std::to_string(primary.prune()) + '\n';
  } catch (...) {
    (void)primary.try_close();  // or the replica would follow for ever
    throw;
  }
  primary.close();
  replica.get();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: primary DB\n";
    return 64;
  }
  try {
    run(argv[1]);
  } catch (const epochwal::error& e) {
    std::cerr << "primary: " << epochwal::status_name(e.status()) << ": " << e.what() << '\n';
    return 1;
  } catch (const std::exception& e) {
    std::cerr << "primary: " << e.what() << '\n';
    return 1;
  }
}
