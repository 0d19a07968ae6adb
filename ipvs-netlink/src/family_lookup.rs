//! The number under which the running kernel has the family `IPVS`.

use netlink_packet_core::{Emitable as _, ParseableParametrized as _};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};

/// Appends the request for the family's number. The kernel loads its module to answer it.
pub(crate) fn encode(out: &mut Vec<u8>) {
    let message = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(NAME.to_owned())],
    });
    let start = out.len();
    out.resize(start + message.buffer_len(), 0);
    if let Some(place) = out.get_mut(start..) {
        message.emit(place);
    }
}

/// Reads the number from the answer.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the only attribute that matters here, of somebody else's enum"
)]
pub(crate) fn decode(body: &[u8]) -> Option<u16> {
    let message = GenlMessage::<GenlCtrl>::parse_with_param(body, GENL_ID_CTRL).ok()?;
    message.payload.nlas.iter().find_map(|attribute| match attribute {
        GenlCtrlAttrs::FamilyId(number) => Some(*number),
        _ => None,
    })
}

/// The controller's own number.
pub(crate) const GENL_ID_CTRL: u16 = 16;
const NAME: &str = "IPVS";
