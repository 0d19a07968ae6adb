//! The seam between whoever decides who is active and everybody who has to know.

use std::sync::Arc;

use async_trait::async_trait;

use crate::notify::{EventKind, NotifyState, Object};

/// Who is active, as a stream of what happens.
///
/// VRRP is one way to decide it, being told ([`StaticElection`]) another; a lease in a consensus store can be a third. Everything behind it, such as notification, works the same.
#[async_trait]
pub trait Election: Send {
    /// Waits for the next thing that happens; `None` when the election has ended.
    ///
    /// Dropping the future before it is done loses nothing.
    async fn next(&mut self) -> Option<Happening>;
}

/// One thing that happened in an election.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "elections of other crates have to make them"
)]
pub struct Happening {
    /// To whom.
    pub object: Object,
    /// What.
    pub kind: EventKind,
    /// The effective priority of a virtual router; 0 where there is none.
    pub priority: u8,
    /// Why.
    pub reason: Option<Arc<str>>,
}

/// An election that was decided beforehand: each name is active, or standby, for good.
#[derive(Clone, Debug)]
pub struct StaticElection {
    names: std::vec::IntoIter<Arc<str>>,
    active: bool,
}

impl StaticElection {
    /// One where these names are active here, or standby.
    pub fn new<I>(names: I, active: bool) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Arc<str>>,
    {
        let names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
        Self {
            names: names.into_iter(),
            active,
        }
    }
}

#[async_trait]
impl Election for StaticElection {
    async fn next(&mut self) -> Option<Happening> {
        let name = self.names.next()?;
        Some(Happening {
            object: Object::Instance(name),
            kind: EventKind::State(match self.active {
                true => NotifyState::Master,
                false => NotifyState::Backup,
            }),
            priority: 0,
            reason: Some("decided beforehand".into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_election_says_once_who_is_active() {
        let mut election: Box<dyn Election> = Box::new(StaticElection::new(["a", "b"], true));
        futures::executor::block_on(async {
            for name in ["a", "b"] {
                let happening = election.next().await.unwrap();
                assert_eq!(happening.object.name(), name);
                assert_eq!(happening.kind.word(), "MASTER");
            }
            assert_eq!(election.next().await, None);
        });
        let mut standby = StaticElection::new(["a"], false);
        let happening = futures::executor::block_on(standby.next()).unwrap();
        assert_eq!(happening.kind.word(), "BACKUP");
    }
}
