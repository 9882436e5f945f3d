//! A file of metrics for node_exporter's textfile collector: written beside its place and moved there, so that nobody reads
//! a half of it.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
    thread::JoinHandle,
};

use crate::{
    host::threads::{NoThread, spawn},
    model::exposition::Family,
    sink::{Exposition, aside},
};

const NAME: &str = "whydrop.prom";

/// The folder, where a file can be made.
#[derive(Debug)]
pub struct Textfile {
    folder: PathBuf,
}

/// The thread that writes, since a disk may be slow.
pub struct Writing {
    to: SyncSender<Option<Vec<Family>>>,
    thread: JoinHandle<()>,
}

impl Textfile {
    /// Tries whether files can be made there; what an earlier watch has left goes.
    ///
    /// # Errors
    /// A sentence.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let file = Self {
            folder: folder.to_owned(),
        };
        let tried = file.make("").and_then(|()| fs::remove_file(file.beside()));
        tried.map_err(|error| {
            format!(
                "cannot write metrics into {}: {error}; name a folder that exists and is writable",
                folder.display()
            )
        })?;
        file.remove();
        Ok(file)
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn begin(self) -> Result<Writing, NoThread> {
        let (to, families) = sync_channel::<Option<Vec<Family>>>(1);
        let thread = spawn("to write metrics", move || {
            let mut is_failing = false;
            for families in families {
                let Some(families) = families else {
                    self.remove();
                    continue;
                };
                let written = self.write(&Exposition::Classic.write(&families));
                match (written, is_failing) {
                    (Ok(()), false) | (Err(_), true) => {}
                    (Ok(()), true) => {
                        is_failing = false;
                        aside("metrics are written again");
                    }
                    (Err(error), false) => {
                        is_failing = true;
                        let folder = self.folder.display();
                        aside(format_args!("cannot write metrics into {folder}: {error}"));
                    }
                }
            }
            // Old numbers look like new ones.
            self.remove();
        })?;
        Ok(Writing { to, thread })
    }

    /// node_exporter reads names that end with `.prom` only.
    fn beside(&self) -> PathBuf {
        self.folder.join(format!(".{NAME}.{}", std::process::id()))
    }

    /// A new file, through no link that somebody has laid there.
    fn make(&self, text: &str) -> io::Result<()> {
        match fs::remove_file(self.beside()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o644);
        let mut file = options.open(self.beside())?;
        file.write_all(text.as_bytes())
    }

    fn write(&self, text: &str) -> io::Result<()> {
        self.make(text)?;
        fs::rename(self.beside(), self.folder.join(NAME))
    }

    fn remove(&self) {
        // There may be none.
        let _ = fs::remove_file(self.folder.join(NAME));
    }
}

impl Writing {
    /// Hands it over; where the one before is still being written, it is left out. Without any the file goes, since old
    /// numbers look like new ones.
    pub fn hand(&self, families: Option<Vec<Family>>) {
        let _ = self.to.try_send(families);
    }

    /// Waits for the last one, which takes as long as the disk does.
    pub fn end(self) {
        drop(self.to);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exposition::{Metric, Sample, Value};

    #[test]
    fn a_file_is_whole_and_does_not_outlive_the_watch() {
        let folder = std::env::temp_dir().join(format!("whydrop-textfile-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = Textfile::open(&folder).expect("a writable folder");
        std::os::unix::fs::symlink("/nowhere/else", file.beside()).expect("a link");
        file.write("a 1\n").expect("written");
        let names = || {
            let all = fs::read_dir(&folder).expect("a folder");
            let names = all.map(|entry| entry.expect("an entry").file_name());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(), [NAME]);
        let writing = file.begin().expect("a thread");
        writing.hand(None);
        writing.hand(Some(vec![Family {
            name: "whydrop_x",
            help: "x.",
            metric: Metric::Gauge,
            unit: None,
            samples: vec![Sample {
                labels: Vec::new(),
                value: Value::Count(1),
            }],
        }]));
        writing.end();
        assert!(names().is_empty(), "old numbers look like new ones");
        fs::remove_dir(&folder).expect("an empty folder");
        assert!(Textfile::open(&folder).is_err());
    }
}
