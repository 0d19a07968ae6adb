use crate::destination::Destination;
use crate::error::{Error, Refusal};
use crate::message::Request;
use crate::service::{Endpoint, Service, ServiceKey};

/// Changes to be carried out together, in their order: many in one system call, one acknowledgement for all.
///
/// The kernel offers no atomicity: packets meet the table as it changes, and a change that is refused does not stop
/// those after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    requests: Vec<Request>,
}

/// What became of each change of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchReport {
    pub(crate) total: usize,
    pub(crate) refused: Vec<(usize, Refusal)>,
    pub(crate) unconfirmed: Vec<usize>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any change; returns its index, by which the report names it. Requests that read have no place in a batch: they
    /// are carried out and their answers dropped.
    pub fn push(&mut self, request: Request) -> usize {
        self.requests.push(request);
        self.requests.len() - 1
    }

    /// Adds [`Request::AddService`].
    pub fn add_service(&mut self, service: Service) -> usize {
        self.push(Request::AddService(service))
    }

    /// Adds [`Request::EditService`].
    pub fn edit_service(&mut self, service: Service) -> usize {
        self.push(Request::EditService(service))
    }

    /// Adds [`Request::DeleteService`].
    pub fn delete_service(&mut self, key: ServiceKey) -> usize {
        self.push(Request::DeleteService(key))
    }

    /// Adds [`Request::AddDestination`].
    pub fn add_destination(&mut self, service: ServiceKey, destination: Destination) -> usize {
        self.push(Request::AddDestination(service, destination))
    }

    /// Adds [`Request::EditDestination`].
    pub fn edit_destination(&mut self, service: ServiceKey, destination: Destination) -> usize {
        self.push(Request::EditDestination(service, destination))
    }

    /// Adds [`Request::DeleteDestination`].
    pub fn delete_destination(&mut self, service: ServiceKey, endpoint: Endpoint) -> usize {
        self.push(Request::DeleteDestination(service, endpoint))
    }

    /// The changes.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }
}

impl FromIterator<Request> for Batch {
    fn from_iter<I: IntoIterator<Item = Request>>(requests: I) -> Self {
        Self {
            requests: requests.into_iter().collect(),
        }
    }
}

impl Extend<Request> for Batch {
    fn extend<I: IntoIterator<Item = Request>>(&mut self, requests: I) {
        self.requests.extend(requests);
    }
}

impl BatchReport {
    /// How many changes there were.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.total
    }

    /// Whether there were none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Whether every change was carried out.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.refused.is_empty() && self.unconfirmed.is_empty()
    }

    /// The changes that the kernel refused, by index, in their order.
    #[must_use]
    pub fn refused(&self) -> &[(usize, Refusal)] {
        &self.refused
    }

    /// The changes of which it is not known whether they were carried out, by index, because the kernel's answers were
    /// lost. Take a snapshot to know.
    #[must_use]
    pub fn unconfirmed(&self) -> &[usize] {
        &self.unconfirmed
    }

    /// All or the first thing that went wrong.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first refusal, else [`Error::Unconfirmed`].
    pub fn into_result(self) -> Result<(), Error> {
        match (self.refused.first(), self.unconfirmed.first()) {
            (Some((_, refusal)), _) => Err(Error::Refused(*refusal)),
            (None, Some(_)) => Err(Error::Unconfirmed),
            (None, None) => Ok(()),
        }
    }
}
