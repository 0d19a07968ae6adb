use super::{Failure, Scenario};

impl Scenario {
    /// Makes a scenario that fails as small as it gets: actions, hosts and virtual routers are left out one by one, as
    /// long as it still fails.
    ///
    /// # Errors
    ///
    /// The smallest failure found; nothing when this scenario does not fail at all.
    pub fn shrink(&self) -> Result<(), Failure> {
        let Err(mut smallest) = self.run() else {
            return Ok(());
        };
        loop {
            let smaller = smallest
                .scenario
                .smaller()
                .find_map(|candidate| candidate.run().err());
            match smaller {
                Some(failure) => smallest = failure,
                None => return Err(smallest),
            }
        }
    }

    /// Scenarios with something left out: half of the actions first, then one, then the last host, then a virtual router.
    fn smaller(&self) -> impl Iterator<Item = Self> {
        let count = self.actions.len();
        let halves = [0..count / 2, count / 2..count]
            .into_iter()
            .filter(move |half| !half.is_empty() && count > 3);
        let singles = (0..count).map(|index| index..index + 1);
        let actions = halves.chain(singles).map(|range| {
            let mut smaller = self.clone();
            smaller.actions.drain(range);
            smaller
        });
        let hosts = (self.hosts.len() > 2).then(|| {
            let mut smaller = self.clone();
            smaller.hosts.pop();
            smaller
        });
        let routers = self
            .hosts
            .iter()
            .map(|host| host.members.len())
            .max()
            .unwrap_or_default();
        let members = (0..routers).filter(move |_| routers > 1).map(|member| {
            let mut smaller = self.clone();
            for host in &mut smaller.hosts {
                if member < host.members.len() {
                    host.members.remove(member);
                }
            }
            smaller
        });
        actions.chain(hosts).chain(members)
    }
}
