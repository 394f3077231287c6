//! librdkafka's list of topic, partition, offset and metadata.

use super::{sys, text_of};
use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::slice;

/// A partition with an offset and the metadata committed or to be committed beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionOffset {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// `None`: no offset (librdkafka's "invalid").
    pub(crate) offset: Option<i64>,
    pub(crate) metadata: Option<String>,
    /// The error of this one partition; 0 for none.
    pub(crate) code: i32,
}

impl PartitionOffset {
    pub(crate) fn new(topic: &str, partition: i32) -> Self {
        Self { topic: topic.to_owned(), partition, offset: None, metadata: None, code: 0 }
    }
}

const INVALID: i64 = -1001;

/// A list that is ours, destroyed with this value.
pub(super) struct List(NonNull<sys::rd_kafka_topic_partition_list_t>);

impl List {
    pub(super) fn new(entries: &[PartitionOffset]) -> Option<Self> {
        let size = i32::try_from(entries.len()).unwrap_or(0);
        // SAFETY: creates a list that is ours.
        let list = Self(NonNull::new(unsafe { sys::rd_kafka_topic_partition_list_new(size) })?);
        for entry in entries {
            let topic = CString::new(entry.topic.as_str()).ok()?;
            // SAFETY: the list is valid; librdkafka copies the name. The element is valid until the list grows again.
            unsafe {
                let element = sys::rd_kafka_topic_partition_list_add(list.as_ptr(), topic.as_ptr(), entry.partition);
                (*element).offset = entry.offset.unwrap_or(INVALID);
                if let Some(metadata) = entry.metadata.as_ref().filter(|text| !text.is_empty()) {
                    let copy = sys::rd_kafka_mem_malloc(std::ptr::null_mut(), metadata.len());
                    if !copy.is_null() {
                        std::ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast::<u8>(), metadata.len());
                        (*element).metadata = copy.cast::<c_void>();
                        (*element).metadata_size = metadata.len();
                    }
                }
            }
        }
        Some(list)
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list is ours and is destroyed once, with the metadata it holds.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.as_ptr()) };
    }
}

/// Copies what a borrowed list says.
///
/// # Safety
/// `list` must be NULL or a list that is valid for the call.
pub(super) unsafe fn read(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<PartitionOffset> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: promised by the caller; the elements are read field by field so that an unknown error code stays an integer.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        let mut entries = Vec::with_capacity(count);
        for position in 0..count {
            let element = (*list).elems.add(position);
            let offset = (*element).offset;
            let metadata = NonNull::new((*element).metadata.cast::<u8>()).map(|start| {
                let bytes = slice::from_raw_parts(start.as_ptr(), (*element).metadata_size);
                String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
            });
            entries.push(PartitionOffset {
                topic: text_of((*element).topic),
                partition: (*element).partition,
                offset: (offset >= 0).then_some(offset),
                metadata: metadata.filter(|text| !text.is_empty()),
                code: (&raw const (*element).err).cast::<i32>().read(),
            });
        }
        entries
    }
}
