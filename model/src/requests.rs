//! Which descriptor a request of an io_uring was about: told when it is submitted, asked when it is completed.
//!
//! A completion has the program's own mark (`user_data`), and nothing else that names its request. Several requests with
//! the same mark are taken for completed in their order; one that completes many times, until another with its mark does.

use std::collections::{HashMap, VecDeque};

use afterimage_format::{Event, EventCode, layout::uring};

use crate::{process::ProcessKey, symbols::URING_OP};

/// Marks remembered of one container.
const MARKS: usize = 8_192;
/// Requests with the same mark.
const SAME: usize = 64;

/// Requests that were submitted in one container.
#[derive(Debug, Default, Clone)]
pub(crate) struct Requests {
    submitted: HashMap<(ProcessKey, u64), VecDeque<Request>>,
}

/// A request, or its completion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// `IORING_OP_*`.
    pub(crate) operation: &'static str,
    /// The descriptor, or the number in the ring's own table: which of both is not recorded.
    pub(crate) fd: i32,
    completed: bool,
}

impl Requests {
    /// Takes in a request; of a completion, which request that was.
    pub(crate) fn apply(&mut self, process: ProcessKey, event: &Event<'_>) -> Option<Request> {
        let mark = (process, event.number(uring::USER_DATA).unwrap_or(u64::MAX));
        let operation = event.number(uring::OPCODE).and_then(|op| URING_OP.name_of(op));
        let fd = event.number(uring::FD).map(|fd| fd as i32);
        match event.code {
            EventCode::URING_SUBMIT => {
                self.submit(mark, Request { operation: operation?, fd: fd?, completed: false });
                None
            }
            EventCode::URING_COMPLETE => {
                let request = self.complete(mark, operation);
                match (operation, fd) {
                    (Some(operation), Some(fd)) => Some(Request { operation, fd, completed: true }),
                    _ => request,
                }
            }
            _ => None,
        }
    }

    fn submit(&mut self, mark: (ProcessKey, u64), request: Request) {
        if self.submitted.len() >= MARKS && !self.submitted.contains_key(&mark) {
            // Most were completed long ago.
            self.submitted.retain(|_, requests| requests.iter().any(|request| !request.completed));
            if self.submitted.len() >= MARKS {
                self.submitted.clear();
            }
        }
        let requests = self.submitted.entry(mark).or_default();
        if requests.len() >= SAME {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    fn complete(&mut self, mark: (ProcessKey, u64), operation: Option<&str>) -> Option<Request> {
        let requests = self.submitted.get_mut(&mark)?;
        let fits = |request: &Request| operation.is_none_or(|name| name == request.operation);
        let open = requests.iter().position(|request| !request.completed && fits(request));
        let at = open.or_else(|| requests.iter().rposition(fits))?;
        // Those before it that were completed will not be once more.
        let request = requests.get_mut(at)?;
        request.completed = true;
        let found = *request;
        let mut index = 0;
        requests.retain(|request| {
            index += 1;
            index > at || !request.completed
        });
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{completed, submitted, task};

    const SEND: u64 = 26;
    const RECV: u64 = 27;

    #[test]
    fn completions_are_of_the_requests_with_their_mark() {
        let mut requests = Requests::default();
        let mut of = |event: &afterimage_format::OwnedEvent| {
            let found = event.with(|e| requests.apply(task(1).into(), e));
            found.map(|request| (request.operation, request.fd))
        };
        for (mark, operation, fd) in [(1, SEND, 5), (2, RECV, 6), (2, SEND, 7), (2, SEND, 8)] {
            assert_eq!(of(&submitted(1, 1, operation, mark, fd)), None);
        }
        assert_eq!(of(&completed(2, 1, SEND, 1, 10)), Some(("IORING_OP_SEND", 5)));
        assert_eq!(of(&completed(2, 1, SEND, 2, 10)), Some(("IORING_OP_SEND", 7)));
        assert_eq!(of(&completed(2, 1, SEND, 2, 10)), Some(("IORING_OP_SEND", 8)));
        assert_eq!(of(&completed(2, 1, RECV, 2, 10)), Some(("IORING_OP_RECV", 6)));
        assert_eq!(
            of(&completed(2, 1, RECV, 2, 10)),
            Some(("IORING_OP_RECV", 6)),
            "one that completes often"
        );
        assert_eq!(of(&completed(2, 1, SEND, 3, 10)), None);
    }

    #[test]
    fn requests_that_never_complete_are_bounded() {
        let mut requests = Requests::default();
        for mark in 0..3 * MARKS as u64 {
            submitted(1, 1, SEND, mark, 5).with(|e| requests.apply(task(1).into(), e));
            submitted(1, 1, SEND, 7, 5).with(|e| requests.apply(task(1).into(), e));
        }
        assert!(requests.submitted.len() <= MARKS);
        assert!(requests.submitted.values().all(|same| same.len() <= SAME));
    }
}
