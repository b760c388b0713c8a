//! Who is told of what became durable, before anyone who waited is.

use crate::log::GroupPlace;

/// A group that has just become durable.
pub(crate) struct DurableGroup<'a> {
    pub(crate) place: GroupPlace,
    /// Its items, one behind the other.
    pub(crate) payload: &'a [u8],
}

/// Told by the flusher, one group at a time and in their order. Must neither
/// block nor call back.
pub(crate) trait Sink: Send + Sync {
    /// Readers may see it from here on; who waits for it is woken after this.
    fn durable(&self, group: &DurableGroup<'_>);

    /// Failed or closed: nothing more comes. May be said more than once.
    fn ended(&self);
}
