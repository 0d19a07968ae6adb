//! keepalived's `auth_hmac`: who signs, whose signature is asked for, and which advertisements were seen already.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use vrrp_proto::{
    Envelope, HmacKey, Message, Packet, Priority, ReceiveChecks, ReplayWindow, Sequence, Sequencer, Signed,
    Trailer, Verified,
};

use crate::time::SECOND;
use crate::{DiscardReason, Error, Instant, RouterId, VrrpRouter};

/// How the advertisements of a virtual router are signed: keepalived's `auth_hmac { … }`.
///
/// Everybody on a link can send a VRRPv3 advertisement of priority 255 and so take the addresses. With this nobody can who
/// has no key, and nobody can send again what was sent before.
#[derive(Clone, Debug)]
pub struct Signing {
    keys: Vec<HmacKey>,
    active: u8,
    mode: SigningMode,
    window: Option<u32>,
}

/// What is signed and what is asked for; one after the other they roll signing out without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "these are the steps of a roll-out")]
pub enum SigningMode {
    /// Ours are not signed; those of others may be, and then have to be right.
    ReceiveOnly,
    /// Ours are signed; those of others may be, and then have to be right.
    Permissive,
    /// All are signed.
    #[default]
    Enforce,
}

impl Signing {
    /// Sign with the key of this number and accept any of the keys.
    ///
    /// Asks all to sign, and accepts times up to 5 seconds away from ours.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateKey`] when two keys have a number, [`Error::NoSuchKey`] when none has `active`.
    pub fn new(keys: impl IntoIterator<Item = HmacKey>, active: u8) -> Result<Self, Error> {
        let keys: Vec<HmacKey> = keys.into_iter().collect();
        for (place, key) in keys.iter().enumerate() {
            if keys.iter().take(place).any(|earlier| earlier.id() == key.id()) {
                return Err(Error::DuplicateKey(key.id()));
            }
        }
        if !keys.iter().any(|key| key.id() == active) {
            return Err(Error::NoSuchKey(active));
        }
        Ok(Self {
            keys,
            active,
            mode: SigningMode::default(),
            window: Some(5),
        })
    }

    /// What is signed and what is asked for.
    #[must_use]
    pub const fn mode(mut self, mode: SigningMode) -> Self {
        self.mode = mode;
        self
    }

    /// Accept times up to so many seconds away from ours (`time_window`); with `None` only the order counts
    /// (`anti_replay monotonic`), and no wall clock is needed for receiving.
    ///
    /// With a window, hosts whose clocks differ by more do not hear each other, and both become active. Sequences never go back:
    /// when all clocks are set back, nobody is heard until they show what they had shown, or all hosts begin anew.
    #[must_use]
    pub const fn time_window(mut self, seconds: Option<u32>) -> Self {
        self.window = seconds;
        self
    }
}

/// What a virtual router signs with, and whom it heard.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    signing: Signing,
    sequencer: Sequencer,
    heard: ReplayWindow<SENDERS>,
}

/// How many senders are remembered. keepalived remembers four.
const SENDERS: usize = 8;

impl Signer {
    /// The message in what was received, if its signature is as it has to be; and what proves it.
    fn check<'a>(
        &self,
        wall: Option<Sequence>,
        bytes: &'a [u8],
        envelope: &Envelope,
    ) -> Result<(&'a [u8], Option<Verified>), DiscardReason> {
        let (message, trailer) = Trailer::split(bytes, envelope).map_err(DiscardReason::Malformed)?;
        let Some(trailer) = trailer else {
            let needed = self.signing.mode == SigningMode::Enforce;
            return if needed {
                Err(DiscardReason::NotSigned)
            } else {
                Ok((message, None))
            };
        };
        if let Some(window) = self.signing.window {
            let wall = wall.ok_or(DiscardReason::NoWallClock)?;
            trailer
                .sequence()
                .check(wall, window)
                .map_err(DiscardReason::Malformed)?;
        }
        let verified = trailer.verify(&self.signing.keys, message, envelope);
        Ok((message, Some(verified.map_err(DiscardReason::Malformed)?)))
    }
}

impl VrrpRouter {
    /// Signs the advertisements of a virtual router and asks for signatures, or not any more with `None`. Who was heard
    /// is remembered over a change of keys.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRouter`].
    pub fn set_signing(&mut self, id: RouterId, signing: Option<Signing>) -> Result<(), Error> {
        self.virtual_router(id).ok_or(Error::UnknownRouter)?;
        let Some(signing) = signing else {
            self.signers.0.remove(&id.index);
            return Ok(());
        };
        match self.signers.0.get_mut(&id.index) {
            Some(signer) => signer.signing = signing,
            None => {
                let signer = Signer {
                    signing,
                    sequencer: Sequencer::new(),
                    heard: ReplayWindow::new(),
                };
                self.signers.0.insert(id.index, Box::new(signer));
            }
        }
        Ok(())
    }

    /// What the wall clock shows: seconds since 1970, and nanoseconds. From then on it goes with `now`, until it is told
    /// anew; a driver that signs does so every few seconds, or whenever the clock is set. Nothing but signatures depends
    /// on it.
    pub fn handle_wall_clock(&mut self, now: Instant, seconds: u64, nanoseconds: u32) {
        self.signers.1 = Some((
            now,
            u128::from(seconds) * u128::from(SECOND) + u128::from(nanoseconds),
        ));
    }

    /// Writes the advertisement that [`Output::Advertise`](crate::Output::Advertise) asks for to the beginning of
    /// `buffer` and returns its length, signed if it has to be. Without signing this is
    /// [`Parameters::emit_advertisement`](crate::Parameters::emit_advertisement).
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`](vrrp_proto::Error::BufferTooSmall), or [`MixedFamilies`](vrrp_proto::Error::MixedFamilies) for an
    /// envelope of the other family, or an identifier of none.
    pub fn emit_advertisement(
        &mut self,
        now: Instant,
        id: RouterId,
        priority: Priority,
        envelope: &Envelope,
        buffer: &mut [u8],
    ) -> Result<usize, vrrp_proto::Error> {
        let wall = self.signers.wall(now);
        let signers = &mut self.signers.0;
        let slot = self.slots.get(id.index as usize);
        let router = slot
            .and_then(|slot| slot.router_of(id))
            .ok_or(vrrp_proto::Error::MixedFamilies)?;
        let parameters = router.parameters();
        let Some(signer) = signers.get_mut(&id.index) else {
            return parameters.emit_advertisement(priority, envelope, buffer);
        };
        let Signing {
            keys, active, mode, ..
        } = &signer.signing;
        let key = keys.iter().find(|key| key.id() == *active);
        let Some(key) = key.filter(|_| *mode != SigningMode::ReceiveOnly) else {
            return parameters.emit_advertisement(priority, envelope, buffer);
        };
        // Without a wall clock the order is right still, after a first one of 1970.
        let sequence = signer.sequencer.next(wall.unwrap_or(Sequence::at(0, 0)));
        let signed = Signed::new(parameters.advertisement(priority)?, key, sequence);
        signed.emit(envelope, parameters.checksum_form(), buffer)
    }

    /// The message in a packet for a virtual router, and the proof of who sent it where there has to be one.
    pub(crate) fn signed<'a>(
        &self,
        now: Instant,
        id: RouterId,
        bytes: &'a [u8],
        envelope: &Envelope,
        checks: &ReceiveChecks,
    ) -> Result<(&'a [u8], Option<Verified>), DiscardReason> {
        let Some(signer) = self.signers.0.get(&id.index) else {
            return Ok((bytes, None));
        };
        // What is cheap to find wrong is found before the hash is computed.
        let length = Packet::length_in(bytes, envelope.family()).map_err(DiscardReason::Malformed)?;
        let message = bytes.get(..length).unwrap_or(bytes);
        Packet::parse(message, envelope, checks).map_err(DiscardReason::Malformed)?;
        signer.check(self.signers.wall(now), bytes, envelope)
    }

    /// Uses a signature up: the last check, as it is the one that changes something.
    pub(crate) fn use_up(&mut self, id: RouterId, verified: Option<&Verified>) -> Result<(), DiscardReason> {
        match (self.signers.0.get_mut(&id.index), verified) {
            (Some(signer), Some(verified)) => signer.heard.accept(verified).map_err(DiscardReason::Malformed),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// Of those virtual routers that sign, and when the wall clock showed what, in nanoseconds since 1970.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signers(pub(crate) BTreeMap<u32, Box<Signer>>, Option<(Instant, u128)>);

impl Signers {
    fn wall(&self, now: Instant) -> Option<Sequence> {
        let (told, wall) = self.1?;
        let wall = wall + u128::from(now.nanos_since(told));
        let seconds = u64::try_from(wall / u128::from(SECOND)).ok()?;
        let nanoseconds = u32::try_from(wall % u128::from(SECOND)).ok()?;
        Some(Sequence::at(seconds, nanoseconds))
    }
}

/// Equal when the same virtual routers sign: keys are not compared, as that would tell them apart by time.
impl PartialEq for Signers {
    fn eq(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys()) && self.1 == other.1
    }
}

impl Eq for Signers {}

impl Hash for Signers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for index in self.0.keys() {
            index.hash(state);
        }
        self.1.hash(state);
    }
}
