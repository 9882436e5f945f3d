//! The file of `serve --config`: each key is the long name of an option, and becomes that option in front of those of the
//! command line, which win. What is wrong is told with its line.

use std::{ffi::OsString, fs, path::Path};

use clap::Parser;
use toml::de::{DeTable, DeValue};

use super::{Cli, Command};

/// These are of the command line alone.
const NO_KEYS: [&str; 4] = ["config", "check-config", "help", "version"];

/// A configuration is shorter.
const BYTES_AT_MOST: u64 = 1 << 20;

/// The same, with what its configuration says, if it names one. `given` are the words that it was made of.
///
/// # Errors
/// A sentence with the file's name and the line.
pub fn read(cli: Cli, given: Vec<OsString>) -> Result<Cli, String> {
    let Some(Command::Serve(args)) = &cli.command else {
        return Ok(cli);
    };
    let Some(path) = &args.config else {
        return Ok(cli);
    };
    let text = text(path).map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    let options =
        options(&text).map_err(|(line, why)| format!("{}:{line}: {why}", path.display()))?;
    let mut words = given;
    // The program's name and the command come first.
    let at = words.len().min(2);
    words.splice(at..at, options.into_iter().map(OsString::from));
    Cli::try_parse_from(words).map_err(|error| in_short(&error))
}

fn text(path: &Path) -> Result<String, String> {
    let about = fs::metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() || about.len() > BYTES_AT_MOST {
        return Err("it is no file of 1 MiB at most".into());
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Options of the command line, or the line and what is wrong there.
fn options(text: &str) -> Result<Vec<String>, (usize, String)> {
    let line = |at: usize| {
        let before = text.as_bytes().get(..at).unwrap_or_default();
        before.split(|byte| *byte == b'\n').count()
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (line(at), error.message().to_owned())
    })?;
    // In the order of the file, so that the first mistake is told.
    let mut entries: Vec<_> = table.into_inner().into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut options = Vec::new();
    for (key, value) in entries {
        let at = line(key.span().start);
        let option = option(key.get_ref(), value.get_ref()).map_err(|why| (at, why))?;
        options.extend(option);
    }
    Ok(options)
}

/// `None` where it says that something is not wanted, which is the default.
fn option(key: &str, value: &DeValue<'_>) -> Result<Option<String>, String> {
    let option = match value {
        DeValue::Boolean(_) => format!("--{key}"),
        DeValue::String(value) => format!("--{key}={value}"),
        DeValue::Integer(value) => format!("--{key}={value}"),
        _ => return Err(format!("`{key}` is text, a whole number, true or false")),
    };
    if NO_KEYS.contains(&key) || key.contains(['=', ' ']) {
        return Err(format!("`{key}` is no key of a configuration"));
    }
    // By itself, so that a mistake is told with its line.
    Cli::try_parse_from(["whydrop", "serve", &option]).map_err(|error| in_short(&error))?;
    Ok((!matches!(value, DeValue::Boolean(false))).then_some(option))
}

/// What clap says in its first lines, without the usage; a name that is near is among them.
fn in_short(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    words.join("; ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn wrong(text: &str, line: usize, says: &str) {
        let (at, why) = options(text).expect_err("wrong");
        assert_eq!(at, line, "{why}");
        assert!(why.contains(says), "{why}");
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        wrong("\nmetric = true\n", 2, "'--metrics'");
        wrong(
            "stories = true\n\nmax-listeners = \"many\"",
            3,
            "max-listeners",
        );
        wrong("stories = 3", 1, "stories");
        wrong("a = ", 1, "");
        wrong("stories = true\nstories = true", 2, "duplicate");
        wrong("[record]\npath = \"x\"", 1, "is text, a whole number");
        wrong("metrics = [\"x\"]", 1, "is text, a whole number");
        for key in NO_KEYS {
            wrong(&format!("{key} = true"), 1, "is no key");
        }
        wrong("\"stats=1s\" = true", 1, "is no key");
    }

    #[test]
    fn every_option_has_a_key_and_the_command_line_wins() {
        let folder = std::env::temp_dir().join(format!("whydrop-config-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("serve.toml");
        let text = "# all of it\nmetrics = true\nmax-listeners = 7\nstats = '5s'\nstories = true\nno-heartbeat = false\nrecord = '/x/'\n";
        fs::write(&path, text).expect("a file");
        let parsed = |more: &[&str]| {
            let mut words = vec!["whydrop", "serve", "--config", path.to_str().expect("text")];
            words.extend(more);
            let cli = Cli::try_parse_from(&words).expect("words");
            let cli = read(cli, words.into_iter().map(OsString::from).collect());
            match cli.expect("a configuration").command {
                Some(Command::Serve(args)) => args,
                other => panic!("{other:?}"),
            }
        };
        let args = parsed(&[]);
        assert_eq!(args.max_listeners, 7);
        assert!(args.metrics.is_some() && args.request.stories);
        assert!(!args.request.no_heartbeat);
        assert_eq!(args.record.path.as_deref(), Some(Path::new("/x/")));
        let args = parsed(&["--stats", "9s", "--max-listeners=3", "--metrics", "unix:/x"]);
        assert_eq!(args.request.stats, Some(Duration::from_secs(9)));
        assert_eq!(args.max_listeners, 3);
        assert_eq!(args.metrics, "unix:/x".parse().ok());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
