//! The way in: a path or a text becomes a configuration and a report.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Report, Verdict};
use crate::environment::{Environment, FileKind, Memory, Program};
use crate::error::Error;
use crate::model::configuration::Configuration;
use crate::model::global_defs::GlobalDefs;
use crate::options::Options;
use crate::printer::Printer;
use crate::reader::Reader;
use crate::statement::{Block, Statement};
use crate::validate;

impl Configuration {
    /// Reads the file at `path`, and whatever it includes.
    ///
    /// The configuration holds everything that could be read, and is to be used only if the report has no
    /// [errors](Report::errors): [`Report::into_result`] sees to that.
    #[must_use]
    pub fn read(path: &Path, environment: &dyn Environment, options: &Options) -> (Self, Report) {
        let mut report = Report::default();
        let mut reader = Reader::new(environment, options, &mut report, path);
        let mut configuration = Self::new();
        configuration.read_statements(&mut reader);
        validate::check(&configuration, &mut reader);
        report.sort();
        (configuration, report)
    }

    /// Reads a text that includes nothing, knowing nothing about the host.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Report) {
        let host = Blind(Memory::with_file("-", text));
        Self::read(Path::new("-"), &host, &Options::default())
    }

    /// The configuration in keepalived's language.
    ///
    /// # Errors
    ///
    /// [`Error::Unprintable`] where a value, which then did not come from that language, cannot be written in it.
    pub fn to_keepalived(&self) -> Result<String, Error> {
        let mut printer = Printer::default();
        self.write_body(&mut printer);
        printer.finish()
    }

    /// Reads the blocks in the order of the text, since what a virtual router takes over from `global_defs` is what
    /// stands before it.
    fn read_statements(&mut self, reader: &mut Reader<'_>) {
        while let Some(statement) = reader.next(Block::OUTERMOST) {
            let routers = self.vrrp_instance.len();
            let globals = match statement.keyword() {
                "global_defs" if routers > 0 => self.global_defs.clone(),
                _ => {
                    self.read_statement(&statement, reader);
                    if let Some(server) = self.virtual_server.last_mut() {
                        server.real_server.shrink_to_fit();
                    }
                    continue;
                }
            };
            self.read_statement(&statement, reader);
            self.keep_earlier_defaults(globals, &statement, reader);
        }
    }

    /// Writes into the virtual routers read so far what held when they were read, where that has changed since.
    fn keep_earlier_defaults(
        &mut self,
        before: Option<GlobalDefs>,
        statement: &Statement,
        reader: &mut Reader<'_>,
    ) {
        let before = before.unwrap_or_else(GlobalDefs::new);
        let Some(after) = self.global_defs.clone() else {
            return;
        };
        let mut changed = Vec::new();
        macro_rules! keep {
            ($($global:ident => $own:ident or $default:expr;)+) => {$(
                if before.$global != after.$global {
                    changed.push(stringify!($global));
                    for router in &mut self.vrrp_instance {
                        router.$own = router.$own.or(before.$global).or($default);
                    }
                }
            )+};
        }
        keep! {
            vrrp_garp_master_repeat => garp_master_repeat or Some(5);
            vrrp_garp_master_delay => garp_master_delay or Some(5);
            vrrp_garp_master_refresh => garp_master_refresh or Some(0);
            vrrp_garp_master_refresh_repeat => garp_master_refresh_repeat or Some(1);
            vrrp_garp_lower_prio_repeat => garp_lower_prio_repeat or None;
            vrrp_garp_lower_prio_delay => garp_lower_prio_delay or None;
            vrrp_down_timer_adverts => down_timer_adverts or Some(3);
            vrrp_skip_check_adv_addr => skip_check_adv_addr or Some(false);
        }
        if !changed.is_empty() {
            reader.push(
                Diagnostic::warning(
                    statement.keyword_span(),
                    format!(
                        "{} holds only for virtual routers that stand below",
                        changed.join(", ")
                    ),
                )
                .advice("move `global_defs` to the top of the file")
                .verdict(Verdict::Silent),
            );
        }
    }
}

/// A host of which nothing is known but one file.
struct Blind(Memory);

impl Environment for Blind {
    fn read(&self, path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
        self.0.read(path, most)
    }

    fn matching(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.0.kind(path)
    }

    fn program(&self, _: &str) -> Program {
        Program::Unknown
    }

    fn user_exists(&self, _: &str) -> Option<bool> {
        None
    }

    fn group_exists(&self, _: &str) -> Option<bool> {
        None
    }

    fn interface_exists(&self, _: &str) -> Option<bool> {
        None
    }

    fn resolves(&self, _: &str) -> Option<bool> {
        None
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn host_name(&self) -> String {
        String::new()
    }
}
