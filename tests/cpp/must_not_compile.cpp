// With one WRONG_ macro defined this must not compile; without any it does.

#include <epochwal/epochwal.hpp>

#include <array>
#include <string>
#include <vector>

#ifdef WRONG_TEMPORARY_IMAGE
epochwal::frame wrong() { return epochwal::frame(1, std::vector<char>(8)); }
#endif

#ifdef WRONG_TEMPORARY_ARRAY
epochwal::frame wrong() { return epochwal::frame(1, std::array<char, 8>{}); }
#endif

#ifdef WRONG_COPIED_COORDINATOR
epochwal::coordinator wrong(const epochwal::coordinator& wal) { return wal; }
#endif

#ifdef WRONG_COPIED_RECOVERY
epochwal::recovery wrong(const epochwal::recovery& log) { return log; }
#endif

#ifdef WRONG_NOT_PLAIN_DATA
epochwal::frame wrong(const std::vector<std::string>& pages) { return epochwal::frame(1, pages); }
#endif

#ifdef WRONG_TEMPORARY_PAYLOAD
epochwal::record wrong() { return epochwal::record(1, 1, std::string("gone")); }
#endif

#ifdef WRONG_COPIED_SPOOL
epochwal::spool wrong(const epochwal::spool& spool) { return spool; }
#endif

#ifdef WRONG_COPIED_CURSOR
epochwal::cursor wrong(const epochwal::cursor& cursor) { return cursor; }
#endif

#ifdef WRONG_COPIED_RECORDS
epochwal::records wrong(const epochwal::records& records) { return records; }
#endif

#ifdef WRONG_COPIED_PRIMARY
epochwal::primary wrong(const epochwal::primary& primary) { return primary; }
#endif

#ifdef WRONG_COPIED_WATCH
epochwal::ack_watch wrong(const epochwal::ack_watch& watch) { return watch; }
#endif

int main() { return 0; }
