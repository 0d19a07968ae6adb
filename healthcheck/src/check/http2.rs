//! HTTP/2 and, over it, the health service of gRPC.

mod grpc;
mod pipe;
mod talk;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::conversation::Conversation;
use crate::error::Error;
use talk::Talk;

/// One request over HTTP/2, with prior knowledge or, under [`Check::over`](crate::Check::over), as ALPN agreed.
///
/// It proves that the server reads requests and gives this status. With [`Grpc`] that the service itself says it serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Http2 {
    pub(super) plan: Arc<Http2Plan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Http2Plan {
    pub(super) path: String,
    pub(super) authority: Option<String>,
    pub(super) status: (u16, u16),
    /// The service to ask for, if this is gRPC.
    pub(super) service: Option<String>,
}

impl Http2 {
    /// `GET` of this path, to be answered with a status from 200 to 299.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] if the path cannot be one.
    pub fn get(path: &str) -> Result<Self, Error> {
        let plan = Http2Plan {
            path: path.to_owned(),
            authority: None,
            status: (200, 299),
            service: None,
        };
        Self { plan: Arc::new(plan) }.validated()
    }

    /// With this authority (`Host`) instead of the address.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] if it cannot be one.
    pub fn authority(mut self, authority: &str) -> Result<Self, Error> {
        Arc::make_mut(&mut self.plan).authority = Some(authority.to_owned());
        self.validated()
    }

    /// Accepts a status from one to another, both included.
    ///
    /// # Errors
    ///
    /// [`Error::BadStatusRange`] if that is no range of statuses.
    pub fn status(mut self, from: u16, to: u16) -> Result<Self, Error> {
        if from > to || from < 100 || to > 999 {
            return Err(Error::BadStatusRange(from, to));
        }
        Arc::make_mut(&mut self.plan).status = (from, to);
        Ok(self)
    }

    /// The dialogue as the engine has it, to be driven over any other connection.
    pub fn conversation(&self, addr: SocketAddr) -> Box<dyn Conversation> {
        Box::new(Talk::new(self.plan.clone(), addr))
    }

    fn validated(self) -> Result<Self, Error> {
        let addr = SocketAddr::from(([127, 0, 0, 1], 80));
        talk::request(&self.plan, addr)
            .map(|_| self)
            .ok_or(Error::BadRequest)
    }
}

/// The standard health check of gRPC (`grpc.health.v1.Health/Check`): the service has to say `SERVING`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grpc {
    pub(super) http2: Http2,
}

impl Grpc {
    /// Asks for the health of this service; an empty name asks for the server as a whole.
    pub fn new(service: &str) -> Self {
        let plan = Http2Plan {
            path: "/grpc.health.v1.Health/Check".to_owned(),
            authority: None,
            status: (200, 200),
            service: Some(service.to_owned()),
        };
        Self {
            http2: Http2 { plan: Arc::new(plan) },
        }
    }

    /// With this authority instead of the address.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] if it cannot be one.
    pub fn authority(self, authority: &str) -> Result<Self, Error> {
        Ok(Self {
            http2: self.http2.authority(authority)?,
        })
    }

    /// The dialogue as the engine has it, to be driven over any other connection.
    pub fn conversation(&self, addr: SocketAddr) -> Box<dyn Conversation> {
        self.http2.conversation(addr)
    }
}
