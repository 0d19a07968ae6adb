use std::fs;
use std::io;

use super::ProcFormat;
use crate::stats::{Rates, Stats};

/// What one processor has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessorStatistics {
    /// The processor's number.
    pub processor: u32,
    /// Its counts; rates are kept for all together only.
    pub stats: Stats,
}

/// Reads `/proc/net/ip_vs_stats`, the sum over all services; anybody may.
///
/// # Errors
/// `NotFound` where the kernel has no IPVS or has not loaded it; `InvalidData` with [`ProcFormat`] inside.
pub fn read_statistics() -> io::Result<Stats> {
    Ok(parse(&fs::read_to_string("/proc/net/ip_vs_stats")?)?)
}

/// Reads `/proc/net/ip_vs_stats_percpu`; anybody may.
///
/// # Errors
/// As [`read_statistics`].
pub fn read_statistics_per_processor() -> io::Result<Vec<ProcessorStatistics>> {
    Ok(parse_per_processor(&fs::read_to_string(
        "/proc/net/ip_vs_stats_percpu",
    )?)?)
}

fn parse(text: &str) -> Result<Stats, ProcFormat> {
    let mut rows = rows(text).filter_map(|(line, numbers)| match numbers.as_slice() {
        [a, b, c, d, e] => Some((line, [*a, *b, *c, *d, *e])),
        _ => None,
    });
    let (_, [connections, packets_in, packets_out, bytes_in, bytes_out]) =
        rows.next().ok_or(ProcFormat { line: 3 })?;
    let rates = rows.next().map_or_else(Rates::default, |(_, numbers)| {
        let [connections, packets_in, packets_out, bytes_in, bytes_out] = numbers;
        Rates {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
        }
    });
    Ok(Stats {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
        rates,
    })
}

fn parse_per_processor(text: &str) -> Result<Vec<ProcessorStatistics>, ProcFormat> {
    let mut processors = Vec::new();
    for (line, numbers) in rows(text) {
        // The rows of totals and rates have a word where the processor's number stands, or five numbers.
        if let [
            processor,
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
        ] = *numbers
        {
            processors.push(ProcessorStatistics {
                processor: u32::try_from(processor).map_err(|_| ProcFormat { line })?,
                stats: Stats {
                    connections,
                    packets_in,
                    packets_out,
                    bytes_in,
                    bytes_out,
                    rates: Rates::default(),
                },
            });
        }
    }
    Ok(processors)
}

/// The lines that consist of hexadecimal numbers.
fn rows(text: &str) -> impl Iterator<Item = (usize, Vec<u64>)> {
    text.lines().enumerate().filter_map(|(number, line)| {
        let numbers: Option<Vec<u64>> = line
            .split_whitespace()
            .map(|word| u64::from_str_radix(word, 16).ok())
            .collect();
        numbers
            .filter(|numbers| !numbers.is_empty())
            .map(|numbers| (number + 1, numbers))
    })
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_per_processor};

    #[test]
    fn numbers_are_hexadecimal() {
        let text = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
      1F       20        0              FFF                0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       1        A        0               10                0
";
        let stats = parse(text).unwrap();
        assert_eq!(
            (stats.connections, stats.packets_in, stats.bytes_in),
            (31, 32, 4095)
        );
        assert_eq!(stats.rates.packets_in, 10);
        assert!(parse("nothing here\n").is_err());
    }

    #[test]
    fn one_row_for_each_processor() {
        let text = "       Total Incoming Outgoing         Incoming         Outgoing
CPU    Conns  Packets  Packets            Bytes            Bytes
  0        1        2        3                4                5
  1        6        7        8                9                A
  ~        7        9        B                D                F

     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
           0        0        0                0                0
";
        let rows = parse_per_processor(text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[1].processor, rows[1].stats.bytes_out), (1, 10));
    }
}
