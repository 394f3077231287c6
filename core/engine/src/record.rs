//! What the engine needs to know of a message.

/// A message as the engine sees it: it moves messages, and never looks at a payload.
///
/// All must give the same answer for as long as the engine holds the message.
pub trait Record {
    /// The message's offset in its partition.
    fn offset(&self) -> i64;
    /// The message's key; an empty key is a key.
    fn key(&self) -> Option<&[u8]>;
    /// Bytes this message counts against the budgets: payload, key and what is kept beside them.
    fn bytes(&self) -> u32;
    /// Bytes of key and payload, which count against the size of a call.
    fn size(&self) -> u32 {
        self.bytes()
    }
    /// When the message was made or appended, in milliseconds since 1970; `None` if unknown. Asked only where a policy looks
    /// at ages.
    fn timestamp(&self) -> Option<i64> {
        None
    }
}
