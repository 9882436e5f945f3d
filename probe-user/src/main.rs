//! The binary: parses the arguments, runs the command, says what failed.

use std::process::ExitCode;

use clap::Parser;
use whydrop::{
    cli::{Cli, Command, config, words},
    command::{
        Failure, check, demo, empty, explain, list, record, replay, run, schema, serve, status,
        verify, watch, why,
    },
    host::stack,
    sink::aside,
    source::Conduct,
};

fn main() -> ExitCode {
    stack::widen();
    stack::with_enough(run_command).unwrap_or_else(|error| {
        aside(format!(
            "the stack may not grow beyond its hard limit, and no thread with a larger one can be made: {error}; raise `ulimit -Hs`"
        ));
        ExitCode::from(status::FAILED)
    })
}

/// With a frame of its own, which may be larger than the stack was before.
#[inline(never)]
fn run_command() -> ExitCode {
    let given = words::in_order(std::env::args_os());
    let cli = match Cli::try_parse_from(&given).map(|cli| config::read(cli, given)) {
        Ok(Ok(cli)) => cli,
        Ok(Err(wrong)) => {
            aside(wrong);
            return ExitCode::from(status::USAGE);
        }
        Err(error) => {
            // Help and version are no failure; a closed pipe is none either.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                status::USAGE
            } else {
                status::OK
            });
        }
    };
    let result = match &cli.command {
        Some(Command::Watch(args)) => watch::run(args, Conduct::printed(|_| {})).map(drop),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Verify(args)) => verify::run(args),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Demo(args)) => demo::run(args),
        Some(Command::DemoHelper(helper)) => demo::help(helper),
        Some(Command::AttachEmpty) => empty::run(),
        Some(Command::Why(args)) => why::run(args),

        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::List(args)) => list::run(args),
        Some(Command::Record(args)) => record::run(args),
        Some(Command::Replay(args)) => replay::run(args),
        Some(Command::Serve(args)) => serve::run(args),
        Some(Command::Schema) => schema::run(),
        None => watch::run(&cli.watch, Conduct::printed(|_| {})).map(drop),
    };
    match result {
        Ok(()) => ExitCode::from(status::OK),
        Err(Failure { status, message }) => {
            if !message.is_empty() {
                aside(message);
            }
            ExitCode::from(status)
        }
    }
}
