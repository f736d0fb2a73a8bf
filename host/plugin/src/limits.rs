//! How much a call may take. wasmtime's own limits count each memory alone; these sum all of them.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The limits of every call into a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all memories and tables together.
    pub memory_bytes: usize,
    /// Time from the call to its end; measured in ticks of the engine's clock.
    pub deadline: Duration,
    /// Bytes of log lines that are kept of one call.
    pub log_bytes: usize,
    /// Bytes of all steps and reports of one call.
    pub output_bytes: usize,
    /// Handles (views, answers, options …) that may be open at once.
    pub handles: usize,
    /// Bytes that may cross the boundary in one host call.
    pub host_call_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 32 * 1024 * 1024,
            deadline: Duration::from_secs(2),
            log_bytes: 64 * 1024,
            output_bytes: 4 * 1024 * 1024,
            handles: 1000,
            host_call_bytes: 4 * 1024 * 1024,
        }
    }
}

/// Bytes that one table element counts for.
const TABLE_ELEMENT_BYTES: usize = 16;

/// Counts the memory of one call, and remembers a refusal: wasmtime reports it only as a trap.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    left: usize,
    pub(crate) refused: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            refused: false,
        }
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.refused = true;
                false
            }
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.take(
            desired
                .saturating_sub(current)
                .saturating_mul(TABLE_ELEMENT_BYTES),
        ))
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut limiter = MemoryLimiter::new(1000);
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.table_growing(0, 25, None).unwrap());
        assert!(!limiter.refused);
        assert!(!limiter.memory_growing(600, 601, None).unwrap());
        assert!(limiter.refused);
    }
}
