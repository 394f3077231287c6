//! `libkarafka completions` and `libkarafka man`: what a shell and `man` can be given, made from the command's own description.

use crate::Arguments;
use crate::output::{Output, Stop};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use karafka::{Error, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

/// Print completions for a shell
///
/// For bash: `libkarafka completions bash > /etc/bash_completion.d/libkarafka`; for zsh into a directory of $fpath, under the name
/// `_libkarafka`; for fish into ~/.config/fish/completions/libkarafka.fish.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, output: Output) -> Result<ExitCode, Stop> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "libkarafka", &mut text);
        print(output, &text)
    }
}

/// Print the manual page, or write one for each command
#[derive(Args)]
pub(crate) struct Manual {
    /// Write the pages of all commands into this directory instead, such as /usr/local/share/man/man1
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl Manual {
    pub(crate) fn run(&self, output: Output) -> Result<ExitCode, Stop> {
        if let Some(directory) = &self.directory {
            clap_mangen::generate_to(Arguments::command(), directory).map_err(|error| {
                let refused = Error::new(ErrorKind::Config, "write the manual", error.to_string()).caused_by(error);
                Stop::Failed(refused.with("directory", directory.display()))
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut text = Vec::new();
        Man::new(Arguments::command()).render(&mut text)?;
        print(output, &text)
    }
}

fn print(mut output: Output, text: &[u8]) -> Result<ExitCode, Stop> {
    output.line(String::from_utf8_lossy(text).trim_end())?;
    output.end()
}
