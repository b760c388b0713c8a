//! The calling thread's instructions in user space.

use perf_event::Builder;
use perf_event::events::Hardware;

/// A counter of the thread that made it.
pub struct Counter(perf_event::Counter);

impl Counter {
    /// None where the machine has no such counter, or keeps it to itself.
    pub fn new() -> Result<Option<Counter>, String> {
        // By default the kernel's and other threads' are left out.
        match Builder::new().kind(Hardware::INSTRUCTIONS).build() {
            Ok(counter) => {
                let mut counter = Counter(counter);
                let some = counter.count(|| Ok(()))? > 0;
                Ok(some.then_some(counter))
            }
            Err(_) => Ok(None),
        }
    }

    /// Instructions that `work` takes.
    pub fn count(&mut self, work: impl FnOnce() -> Result<(), String>) -> Result<u64, String> {
        let text = |e: std::io::Error| format!("the counter: {e}");
        self.0.reset().map_err(text)?;
        self.0.enable().map_err(text)?;
        let result = work();
        self.0.disable().map_err(text)?;
        result?;
        let measured = self.0.read_count_and_time().map_err(text)?;
        // Where others count too, the kernel lets them take turns.
        if measured.time_running < measured.time_enabled {
            return Err("the counter was shared with another program: try again".into());
        }
        Ok(measured.count)
    }
}
