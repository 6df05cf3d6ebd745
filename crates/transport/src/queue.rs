//! Queues in which mostly nothing waits.

use std::collections::VecDeque;

/// Takes the next from a queue, and lets go of its room with the last: a peer has several queues for as long as it is there,
/// and needs them to connect and now and then.
pub(crate) fn take<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let next = queue.pop_front();
    if queue.is_empty() && queue.capacity() > 0 {
        *queue = VecDeque::new();
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_queue_takes_no_room() {
        let mut queue = VecDeque::from([1, 2]);
        assert_eq!((take(&mut queue), take(&mut queue), take(&mut queue)), (Some(1), Some(2), None));
        assert_eq!(queue.capacity(), 0);
    }
}
