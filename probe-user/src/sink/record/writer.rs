//! The thread that writes: batches come in, frames go to the disk.
//!
//! What cannot be written is held, and the queue behind it, until there is room; so a disk that is
//! full for a moment loses nothing.

use std::{
    io,
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::{Duration, Instant},
};

use zstd::{bulk::Compressor, zstd_safe::CParameter};

use super::{
    Head, PartInfo,
    error::RecordError,
    keep::{Keeper, Limits},
    part::Part,
    place::Place,
    queue::{Shared, Woken, Work},
};

/// Half the time of level 1, for a third more bytes: whoever records is beside what it records.
const LEVEL: i32 = -1;

/// Between two tries to write on a disk that is full.
const RETRY: Duration = Duration::from_secs(1);

/// How many names are tried for a part.
const NAMES: u32 = 1000;

pub(super) struct Writer<T> {
    shared: Arc<Shared<T>>,
    place: Place,
    recording: String,
    head: Head,
    limits: Limits,
    keeper: Keeper,
    compressor: Compressor<'static>,
    frame: Vec<u8>,
    part: Option<Part>,
    number: u32,
    last_try: Option<Instant>,
    /// The name of the first part is tried first: somebody has moved what had it.
    is_by_name: bool,
    /// Why the last part ended before its time, until the next one holds lines.
    after: Option<String>,
}

impl<T> Writer<T> {
    pub(super) fn new(
        shared: Arc<Shared<T>>,
        place: Place,
        recording: String,
        head: Head,
        limits: Limits,
    ) -> Result<Self, RecordError> {
        Ok(Self {
            shared,
            place,
            recording,
            head,
            limits,
            keeper: Keeper::new(limits),
            compressor: compressor().map_err(RecordError::Zstd)?,
            frame: Vec::new(),
            part: None,
            number: 0,
            last_try: None,
            is_by_name: false,
            after: None,
        })
    }

    /// Makes the first part; whoever records waits for this.
    pub(super) fn begin(&mut self) -> Result<(), RecordError> {
        let part = self.open()?;
        self.part = Some(part);
        self.tidy();
        Ok(())
    }

    /// Writes what comes until it is to end.
    pub(super) fn run(&mut self) {
        while let Some(work) = self.shared.take() {
            match work {
                Work::Write(text) => self.put(text),
                Work::Reopen => self.reopen_by_name(),
            }
        }
        if let Some(part) = self.part.take() {
            self.close(part);
        }
    }

    /// Writes a batch, however long that takes, unless the recording ends meanwhile.
    fn put(&mut self, text: String) {
        let mut is_last_try = false;
        loop {
            match self.write(&text) {
                Ok(()) => return self.shared.written(text, self.frame.len()),
                Err(why) => self.shared.failing(why),
            }
            if is_last_try {
                return self.shared.lose_all();
            }
            let again = self.last_try.map_or_else(Instant::now, |last| last + RETRY);
            is_last_try = self.shared.pause(again) == Woken::Ending;
        }
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        compress(&mut self.compressor, text, &mut self.frame)
            .map_err(|error| format!("zstd cannot compress: {error}"))?;
        if self.part.as_ref().is_some_and(|part| self.is_over(part)) {
            self.rotate();
        }
        let mut part = match self.part.take() {
            Some(part) => part,
            None => self.reopen()?,
        };
        let Err(error) = part.write(&self.frame) else {
            self.part = Some(part);
            self.after = None;
            return Ok(());
        };
        let why = format!("{} cannot be written: {error}", part.path.display());
        self.after = Some(why.clone());
        self.leave(part);
        Err(why)
    }

    /// Whether the frame belongs to the next part.
    fn is_over(&self, part: &Part) -> bool {
        let len = part.len + self.frame.len() as u64;
        // A part with no lines is not ended, or a frame above the limit would never be written.
        part.frames > 1 && self.limits.are_reached(len, part.opened)
    }

    /// Goes on in the next part, or in this one if there is none to be had.
    fn rotate(&mut self) {
        if self.last_try.is_some_and(|last| last.elapsed() < RETRY) {
            return;
        }
        match self.open() {
            Ok(next) => {
                if let Some(part) = self.part.replace(next) {
                    self.close(part);
                }
                self.last_try = None;
                self.tidy();
            }
            Err(error) => {
                self.last_try = Some(Instant::now());
                self.shared
                    .trouble(format!("there is no next part: {error}"));
            }
        }
    }

    /// Goes on in a file of the name that was given, or in the next part, where the one that is written has lost its name.
    fn reopen_by_name(&mut self) {
        let has_name = |part: &Part| {
            let about = std::fs::symlink_metadata(&part.path);
            about.is_ok_and(|about| (about.dev(), about.ino()) == part.id)
        };
        if self.part.as_ref().is_some_and(has_name) {
            return;
        }
        self.last_try = None;
        self.is_by_name = true;
        self.rotate();
        self.is_by_name = false;
    }

    /// A new part after one that could not be written.
    fn reopen(&mut self) -> Result<Part, String> {
        self.last_try = Some(Instant::now());
        // What is too old by now makes room.
        self.tidy();
        self.open().map_err(|error| error.to_string())
    }

    /// Makes the next part, with its head.
    fn open(&mut self) -> Result<Part, RecordError> {
        let number = self.number + 1;
        let mut part = self.create(number)?;
        let status = self.shared.status();
        let mut head = (self.head)(&PartInfo {
            recording: &self.recording,
            part: number,
            path: &part.path,
            lost_lines: status.lost_lines,
            lost_bytes: status.lost_bytes,
            after: self.after.as_deref(),
        });
        if !head.ends_with('\n') {
            head.push('\n');
        }
        let mut frame = Vec::new();
        let written =
            compress(&mut self.compressor, &head, &mut frame).and_then(|()| part.write(&frame));
        if let Err(error) = written {
            let path = part.path.clone();
            self.discard(part);
            return Err(RecordError::Write { path, error });
        }
        self.number = number;
        self.shared.opened(&part.path, part.len);
        Ok(part)
    }

    fn create(&self, number: u32) -> Result<Part, RecordError> {
        let tries = if self.place.is_exact(number) {
            1
        } else {
            NAMES
        };
        let by_name = self.is_by_name && self.place.is_exact(1);
        let own_name = by_name.then(|| self.place.part(1, 1));
        let mut paths = own_name
            .into_iter()
            .chain((1..=tries).map(|again| self.place.part(number, again)));
        let first = paths.next().unwrap_or_default();
        let mut result = Part::create(&first, number);
        for path in paths {
            let is_taken = result.as_ref().is_err_and(RecordError::is_usage);
            if !is_taken {
                break;
            }
            result = Part::create(&path, number);
        }
        result
    }

    /// Ends a part that takes no more; one without lines would only be in the way.
    fn leave(&mut self, part: Part) {
        if part.frames > 1 || part.number == 1 {
            self.close(part);
        } else {
            self.number -= 1;
            self.shared.taken_back(part.len);
            self.discard(part);
        }
    }

    fn discard(&self, part: Part) {
        let name = part.path.display().to_string();
        if let Err(error) = part.remove() {
            self.shared
                .trouble(format!("{name} cannot be deleted: {error}"));
        }
    }

    fn close(&mut self, part: Part) {
        self.keeper.closed(&part.path, part.id, part.len);
        let name = part.path.display().to_string();
        if let Err(error) = part.close() {
            self.shared.trouble(format!(
                "{name} may lack what was written last: it cannot be brought to the disk: {error}"
            ));
        }
    }

    fn tidy(&mut self) {
        let open = self.part.as_ref().map(|part| part.path.as_path());
        match self.keeper.tidy(&self.place, open) {
            Ok(parts) => self.shared.deleted(parts),
            Err(error) => self.shared.trouble(format!(
                "old parts in {} cannot be deleted: {error}",
                self.place.folder().display()
            )),
        }
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(LEVEL)?;
    // So that a reader knows damage from data, and where a frame ends that it may use.
    for parameter in [
        CParameter::ChecksumFlag(true),
        CParameter::ContentSizeFlag(true),
    ] {
        compressor.set_parameter(parameter)?;
    }
    Ok(compressor)
}

/// One frame of a text.
fn compress(with: &mut Compressor<'_>, text: &str, frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    frame.reserve(zstd::zstd_safe::compress_bound(text.len()));
    with.compress_to_buffer(text.as_bytes(), frame).map(drop)
}
