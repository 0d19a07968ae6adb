//! Breadth-first search over every reachable state of a small system, with the shortest path to a violation.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::hash::Hash;

/// A finite system that may take one of several steps from each state.
pub(crate) trait System {
    type State: Clone + Eq + Hash + Debug;
    type Step: Clone + Debug;

    fn initial(&self) -> Vec<Self::State>;

    /// Every step that may happen in this state, with the state it leads to.
    fn steps(&self, state: &Self::State, found: &mut Vec<(Self::Step, Self::State)>);

    /// What must hold in each reachable state; otherwise what is wrong.
    fn check(&self, state: &Self::State) -> Result<(), String>;
}

/// What an exhaustive search saw.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
}

/// A state that breaks a rule, and the shortest way there.
pub(crate) struct Violation<S, T> {
    pub(crate) what: String,
    pub(crate) path: Vec<(Option<T>, S)>,
}

impl<S: Debug, T: Debug> fmt::Display for Violation<S, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}, after:", self.what)?;
        for (step, state) in &self.path {
            match step {
                Some(step) => writeln!(formatter, "- {step:?}\n    {state:?}")?,
                None => writeln!(formatter, "- start\n    {state:?}")?,
            }
        }
        Ok(())
    }
}

/// Visits every reachable state once; panics with the shortest counterexample, or when there are more than `limit`
/// states, since a search that was cut off has proven nothing.
pub(crate) fn explore<S: System>(system: &S, limit: usize) -> Report {
    match search(system, limit) {
        Ok(report) => report,
        Err(violation) => panic!("{violation}"),
    }
}

/// As [`explore`], but hands the counterexample back.
pub(crate) fn search<S: System>(system: &S, limit: usize) -> Result<Report, Violation<S::State, S::Step>> {
    // The index of each state found, and where it came from.
    let mut found: HashMap<S::State, usize> = HashMap::new();
    let mut origins: Vec<Option<(usize, S::Step)>> = Vec::new();
    let mut waiting = VecDeque::new();
    let mut transitions = 0;

    for state in system.initial() {
        if !found.contains_key(&state) {
            found.insert(state.clone(), origins.len());
            waiting.push_back((origins.len(), state));
            origins.push(None);
        }
    }
    let mut next = Vec::new();
    while let Some((index, state)) = waiting.pop_front() {
        if let Err(what) = system.check(&state) {
            return Err(Violation {
                what,
                path: path(&found, &origins, index),
            });
        }
        system.steps(&state, &mut next);
        for (step, state) in next.drain(..) {
            transitions += 1;
            if !found.contains_key(&state) {
                found.insert(state.clone(), origins.len());
                waiting.push_back((origins.len(), state));
                origins.push(Some((index, step)));
                assert!(
                    origins.len() <= limit,
                    "more than {limit} states: the search proves nothing"
                );
            }
        }
    }
    Ok(Report {
        states: origins.len(),
        transitions,
    })
}

fn path<S: Clone + Eq + Hash, T: Clone>(
    found: &HashMap<S, usize>,
    origins: &[Option<(usize, T)>],
    mut index: usize,
) -> Vec<(Option<T>, S)> {
    let states: HashMap<usize, &S> = found.iter().map(|(state, index)| (*index, state)).collect();
    let mut path = Vec::new();
    loop {
        match &origins[index] {
            Some((from, step)) => {
                path.push((Some(step.clone()), states[&index].clone()));
                index = *from;
            }
            None => {
                path.push((None, states[&index].clone()));
                break;
            }
        }
    }
    path.reverse();
    path
}
