//! Taking in a request's body: bounded in size, in time, in what all bodies together may take, and when unpacked.

use std::{io::Read as _, sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use hyper::{Request, StatusCode, header::CONTENT_ENCODING};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one permit stands for.
const PERMIT: usize = 4096;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all bodies being taken in may take together.
#[derive(Debug, Clone)]
pub struct Budget {
    permits: Arc<Semaphore>,
}

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(bytes / PERMIT)) }
    }

    fn hold(&self, permits: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(permits).ok()?;
        Arc::clone(&self.permits).try_acquire_many_owned(permits).ok()
    }
}

/// A body was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Larger than allowed.
    #[error("the body is larger than {limit} bytes")]
    Large {
        /// The limit.
        limit: usize,
    },
    /// Too slow.
    #[error("the body did not come within {} seconds", PATIENCE.as_secs())]
    Slow,
    /// Others take all there is.
    #[error("too many bodies at a time")]
    Busy,
    /// Cut off.
    #[error("the body was cut off")]
    Cut,
    /// Packed in a way we do not know, or not as it says.
    #[error("the body cannot be unpacked: {why}")]
    Packed {
        /// Why.
        why: String,
    },
}

impl Refused {
    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Large { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Cut => StatusCode::BAD_REQUEST,
            Self::Packed { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Takes a body in: `bytes` as they came, for signatures, and unpacked.
pub struct Taken {
    /// As they came.
    pub raw: Vec<u8>,
    /// Unpacked, where they came packed.
    unpacked: Option<Vec<u8>>,
    /// Its part of the budget, until it is done with.
    _held: OwnedSemaphorePermit,
}

impl Taken {
    /// What was sent, unpacked.
    pub fn bytes(&self) -> &[u8] {
        self.unpacked.as_deref().unwrap_or(&self.raw)
    }

    /// The same, taken over.
    pub fn into_bytes(self) -> Vec<u8> {
        self.unpacked.unwrap_or(self.raw)
    }
}

/// Takes in the body of a request.
///
/// # Errors
/// [`Refused`].
pub async fn take<B>(request: &mut Request<B>, limit: usize, budget: &Budget) -> Result<Taken, Refused>
where
    B: hyper::body::Body<Data = hyper::body::Bytes> + Unpin,
{
    // What says beforehand that it is too large is not waited for.
    if request.body().size_hint().lower() > limit as u64 {
        return Err(Refused::Large { limit });
    }
    let (raw, held) = tokio::time::timeout(PATIENCE, collect(request.body_mut(), limit, budget))
        .await
        .map_err(|_| Refused::Slow)??;
    let encoding = request.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    let unpacked = match encoding.as_deref() {
        None | Some(b"" | b"identity") => None,
        Some(b"gzip" | b"x-gzip") => Some(gunzip(&raw, limit)?),
        Some(_) => return Err(Refused::Packed { why: "only gzip is understood".to_owned() }),
    };
    Ok(Taken { raw, unpacked, _held: held })
}

async fn collect<B>(
    body: &mut B,
    limit: usize,
    budget: &Budget,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refused>
where
    B: hyper::body::Body<Data = hyper::body::Bytes> + Unpin,
{
    let mut bytes = Vec::new();
    let mut held = budget.hold(0).ok_or(Refused::Busy)?;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refused::Cut)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Refused::Large { limit });
        }
        // Taken by what has come, not by what was promised: promising costs nothing.
        let wanted = (bytes.len() + data.len()).div_ceil(PERMIT);
        let more = wanted.saturating_sub(held.num_permits());
        held.merge(budget.hold(more).ok_or(Refused::Busy)?);
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, held))
}

fn gunzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(packed).take(limit as u64 + 1);
    reader.read_to_end(&mut bytes).map_err(|error| Refused::Packed { why: error.to_string() })?;
    if bytes.len() > limit { Err(Refused::Large { limit }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use http_body_util::Full;
    use hyper::body::Bytes;
    use std::io::Write as _;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn taken(
        bytes: Vec<u8>,
        encoding: Option<&str>,
        limit: usize,
        budget: usize,
    ) -> Result<Vec<u8>, Refused> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut request = Request::builder();
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        let mut request = request.body(Full::new(Bytes::from(bytes))).unwrap();
        runtime.block_on(take(&mut request, limit, &Budget::new(budget))).map(Taken::into_bytes)
    }

    #[test]
    fn bodies_are_taken_up_to_the_limit() {
        assert_eq!(taken(vec![1; 100], None, 100, 1 << 20).unwrap().len(), 100);
        assert_eq!(taken(vec![1; 101], None, 100, 1 << 20), Err(Refused::Large { limit: 100 }));
        assert_eq!(taken(vec![1; 10_000], None, 1 << 20, 8192), Err(Refused::Busy));
    }

    #[test]
    fn a_packed_body_is_bounded_by_what_it_unpacks_to() {
        let bomb = packed(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(taken(bomb, Some("gzip"), 1 << 20, 1 << 20), Err(Refused::Large { limit: 1 << 20 }));
        assert_eq!(taken(packed(b"{}"), Some("GZIP"), 100, 1 << 20).unwrap(), b"{}");
        assert!(matches!(taken(b"{}".to_vec(), Some("gzip"), 100, 1 << 20), Err(Refused::Packed { .. })));
        assert!(matches!(taken(b"{}".to_vec(), Some("br"), 100, 1 << 20), Err(Refused::Packed { .. })));
    }

    #[test]
    fn the_budget_is_given_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let budget = Budget::new(PERMIT);
        for _ in 0..3 {
            let mut request = Request::new(Full::new(Bytes::from(vec![1; PERMIT])));
            let held = runtime.block_on(take(&mut request, 1 << 20, &budget)).unwrap();
            let mut second = Request::new(Full::new(Bytes::from(vec![1; PERMIT])));
            assert!(matches!(runtime.block_on(take(&mut second, 1 << 20, &budget)), Err(Refused::Busy)));
            drop(held);
        }
    }
}
