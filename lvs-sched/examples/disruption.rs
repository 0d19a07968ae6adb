//! Plots how many flows move that need not when one back end leaves, over the size of the pool: `mh` with its usual and
//! with a large table, and `sh`.
//!
//! `cargo run --release -p lvs-sched --example disruption > disruption.svg`; the table goes to standard error.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};

use lvs_sched::{BackendId, Error, Flow, MhSize, Options, Pool, SchedulerKind, Spec, TableBits};

const SIZES: [u32; 12] = [2, 3, 5, 8, 13, 20, 35, 60, 100, 170, 300, 500];
const FLOWS: u32 = 20_000;

fn main() -> Result<(), Error> {
    let usual = Options::default();
    let large = Options::default().mh_size(MhSize::P65521);
    let wide = Options::default().sh_bits(TableBits::new(12).unwrap_or(TableBits::KERNEL));
    let curves = [
        ("mh, 4093 slots", "#1f3fa0", SchedulerKind::Mh, &usual),
        ("mh, 65521 slots", "#2f9e44", SchedulerKind::Mh, &large),
        ("sh, 4096 buckets", "#c92a2a", SchedulerKind::Sh, &wide),
    ];
    let mut picture = String::from(
        "<svg xmlns='http://www.w3.org/2000/svg' width='640' height='400' font-family='sans-serif' font-size='12'>\n\
         <rect width='100%' height='100%' fill='white'/>\n<text x='20' y='24' font-size='15'>Flows that move though their \
         back end stays, when another one leaves</text>\n",
    );
    for (index, size) in SIZES.into_iter().enumerate() {
        let _ = writeln!(
            picture,
            "<text x='{}' y='374' text-anchor='middle'>{size}</text>",
            60 + 48 * index
        );
    }
    for share in [0.01, 0.1, 1.0, 10.0, 100.0] {
        let _ = writeln!(
            picture,
            "<path stroke='#ddd' d='M50 {0:.0}h550'/><text x='44' y='{1:.0}' text-anchor='end'>{share} %</text>",
            height(share),
            height(share) + 4.0
        );
    }
    picture.push_str("<text x='320' y='394' text-anchor='middle'>back ends</text>\n");
    for (line, (name, colour, kind, options)) in curves.into_iter().enumerate() {
        let mut path = String::new();
        for (index, size) in SIZES.into_iter().enumerate() {
            let share = moved(kind, options, size)?;
            eprintln!("{name}: {share:.2} % of the others' flows move among {size}");
            let _ = write!(
                path,
                "{}{} {:.1}",
                if index == 0 { "M" } else { "L" },
                60 + 48 * index,
                height(share)
            );
        }
        let _ = writeln!(
            picture,
            "<path fill='none' stroke-width='2' stroke='{colour}' d='{path}'/>"
        );
        let _ = writeln!(
            picture,
            "<text x='480' y='{}' fill='{colour}'>{name}</text>",
            72 + 16 * line
        );
    }
    picture.push_str("</svg>");
    println!("{picture}");
    Ok(())
}

/// The share of flows, in percent, that change their back end though it stays, when the middle one of `size` leaves.
fn moved(kind: SchedulerKind, options: &Options, size: u32) -> Result<f64, Error> {
    let mut pool = Pool::with_options(kind, options);
    let mut ids = Vec::new();
    for number in 0..size {
        let address = SocketAddr::from((Ipv4Addr::from_bits(0x0a01_0001 + number), 80));
        ids.push(pool.add((), Spec::new(1).address(address))?);
    }
    let select = |pool: &mut Pool<()>| -> Vec<Option<BackendId>> {
        let client = |flow: u32| Ipv4Addr::from_bits(flow.wrapping_mul(0x9E37_79B9));
        let flows = (0..FLOWS).map(|flow| Flow::from_client(SocketAddr::from((client(flow), 1))));
        flows.map(|flow| pool.select(&flow)).collect()
    };
    let before = select(&mut pool);
    let gone = ids[ids.len() / 2];
    pool.remove(gone)?;
    let after = select(&mut pool);
    let stays = || {
        before
            .iter()
            .zip(&after)
            .filter(|(before, _)| **before != Some(gone))
    };
    let moved = stays().filter(|(before, after)| before != after).count();
    Ok(100.0 * moved as f64 / stays().count() as f64)
}

/// A logarithmic axis from a hundredth of a percent up.
fn height(share: f64) -> f64 {
    350.0 - 75.0 * (share.max(0.01).log10() + 2.0)
}
