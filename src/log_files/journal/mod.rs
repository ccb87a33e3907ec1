//! The journal as `journalctl` writes it out, made into the lines of an ordinary log.
//!
//! Owns the Journal Export Format and the forms of JSON (`-o export`, `json`, `json-pretty`,
//! `json-sse`, `json-seq`), told by how they begin. Must not know what stands in a message.
//! Follows systemd.journal-fields(7) and systemd's page on the Journal Export Formats.
//!
//! An entry is anybody's words: of each field no more is kept than a line of a log has room for,
//! however long it says it is, and no field can begin a line of its own.

use std::io::{self, BufRead, BufReader, Read};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

/// The most of a message that is kept: Postfix cuts its lines long before.
const MESSAGE: usize = 64 * 1024;

/// The most that is kept of any other field, and of its name.
const FIELD: usize = 512;

/// The longest object of JSON that is read; one with more in it is of some other program.
const OBJECT: usize = 1024 * 1024;

/// How much is put together before it is handed on.
const CHUNK: usize = 64 * 1024;

/// The forms the journal comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `FIELD=text`, or a field's name, its length and bytes; a blank line ends an entry.
    Export,
    /// Objects one after the other, with whatever between them.
    Json,
}

impl Form {
    /// Tells the form by how a log begins; no line of a log begins so.
    pub(super) fn of(first: &[u8]) -> Option<Self> {
        let exported = [&b"__CURSOR="[..], b"__REALTIME_TIMESTAMP="];
        if exported.iter().any(|start| first.starts_with(start)) {
            return Some(Self::Export);
        }
        // `-o json-sse` writes `data: ` before each object, `-o json-seq` a record separator.
        let object = first.strip_prefix(b"data: ").unwrap_or(first);
        let object = object.strip_prefix(b"\x1e").unwrap_or(object);
        let inside = object.strip_prefix(b"{")?.trim_ascii_start();
        inside.starts_with(b"\"").then_some(Self::Json)
    }
}

/// Reads entries and gives lines.
pub(super) struct Lines<R> {
    from: BufReader<R>,
    form: Form,
    zone: TimeZone,
    entry: Entry,
    line: Vec<u8>,
    made: Vec<u8>,
    given: usize,
    at_end: bool,
}

/// What is kept of an entry.
#[derive(Debug, Default)]
struct Entry {
    /// Microseconds since 1970.
    time: Vec<u8>,
    host: Vec<u8>,
    identifier: Vec<u8>,
    command: Vec<u8>,
    said_pid: Vec<u8>,
    pid: Vec<u8>,
    message: Option<Vec<u8>>,
}

/// That there is less than was begun.
fn cut_off() -> io::Error {
    let why = "the journal is cut off within an entry";
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}

impl<R: Read> Lines<R> {
    pub(super) fn new(from: R, form: Form) -> Self {
        Self::in_zone(from, form, TimeZone::system())
    }

    fn in_zone(from: R, form: Form, zone: TimeZone) -> Self {
        Self {
            from: BufReader::with_capacity(CHUNK, from),
            form,
            zone,
            entry: Entry::default(),
            line: Vec::new(),
            made: Vec::new(),
            given: 0,
            at_end: false,
        }
    }

    /// Makes more lines.
    fn fill(&mut self) -> io::Result<()> {
        self.made.clear();
        self.given = 0;
        while self.made.len() < CHUNK && !self.at_end {
            match self.form {
                Form::Export => self.field()?,
                Form::Json => self.object()?,
            }
            // Whoever follows a journal waits for what is there already.
            let is_begun = |held: &[u8]| match self.form {
                Form::Export => !held.is_empty(),
                Form::Json => held.contains(&b'{'),
            };
            if !self.made.is_empty() && !is_begun(self.from.buffer()) {
                break;
            }
        }
        Ok(())
    }

    /// Reads one field, or the end of an entry.
    fn field(&mut self) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let (mut length, mut is_ended) = (0, false);
        while !is_ended {
            let held = self.from.fill_buf()?;
            if held.is_empty() {
                self.at_end = true;
                break;
            }
            let end = memchr::memchr(b'\n', held);
            let part = held.get(..end.unwrap_or(held.len())).unwrap_or_default();
            let room = (FIELD + MESSAGE - line.len()).min(part.len());
            line.extend_from_slice(part.get(..room).unwrap_or_default());
            length += part.len();
            is_ended = end.is_some();
            let used = part.len() + usize::from(is_ended);
            self.from.consume(used);
        }
        match memchr::memchr(b'=', &line) {
            Some(equals) => {
                let (name, value) = line.split_at(equals);
                self.entry.set(name, value.get(1..).unwrap_or_default());
            }
            None if line.is_empty() => self.end_entry(),
            None if is_ended && length <= FIELD => self.binary(&line)?,
            None => {}
        }
        if self.at_end {
            self.end_entry();
        }
        self.line = line;
        Ok(())
    }

    fn end_entry(&mut self) {
        self.entry.write(&self.zone, &mut self.made);
        self.entry = Entry::default();
    }

    /// Reads a field whose bytes are counted: a length of eight bytes, the lowest first.
    fn binary(&mut self, name: &[u8]) -> io::Result<()> {
        let mut length = [0; 8];
        self.from.read_exact(&mut length).map_err(|_| cut_off())?;
        let length = u64::from_le_bytes(length);
        let room = u64::try_from(Entry::room(name)).unwrap_or_default();
        let mut value = Vec::new();
        (&mut self.from)
            .take(length.min(room))
            .read_to_end(&mut value)?;
        // One byte more ends the line.
        let mut rest = (length - length.min(room)).saturating_add(1);
        while rest > 0 {
            let held = self.from.fill_buf()?.len();
            if held == 0 {
                return Err(cut_off());
            }
            let skipped = held.min(usize::try_from(rest).unwrap_or(usize::MAX));
            self.from.consume(skipped);
            rest -= u64::try_from(skipped).unwrap_or(rest);
        }
        self.entry.set(name, &value);
        Ok(())
    }

    /// Reads one object.
    fn object(&mut self) -> io::Result<()> {
        let mut text: Vec<u8> = Vec::new();
        let (mut depth, mut quoted, mut escaped) = (0_u64, false, false);
        let mut is_long = false;
        loop {
            let held = self.from.fill_buf()?;
            if held.is_empty() {
                self.at_end = true;
                // What was no object of the journal is not missed.
                let is_entry = depth > 0 && !is_long && text.trim_ascii().len() > 1;
                return if is_entry { Err(cut_off()) } else { Ok(()) };
            }
            let mut used = 0;
            let mut is_done = false;
            let mut start = if depth > 0 { Some(0) } else { None };
            for &byte in held {
                used += 1;
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' if depth > 0 => quoted = !quoted,
                    b'{' if !quoted => {
                        depth += 1;
                        start = start.or(Some(used - 1));
                    }
                    b'}' if !quoted && depth > 0 => {
                        depth -= 1;
                        is_done = depth == 0;
                    }
                    _ => {}
                }
                if is_done {
                    break;
                }
            }
            let part = start.and_then(|start| held.get(start..used));
            let part = part.unwrap_or_default();
            is_long |= text.len() + part.len() > OBJECT;
            if !is_long {
                text.extend_from_slice(part);
            }
            self.from.consume(used);
            if is_done {
                break;
            }
        }
        // What is no object of the journal tells nothing.
        if let (false, Ok(object)) = (is_long, serde_json::from_slice::<Object>(&text)) {
            Entry::from(object).write(&self.zone, &mut self.made);
        }
        Ok(())
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.made.len() && !self.at_end {
            self.fill()?;
        }
        let left = self.made.get(self.given..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

impl Entry {
    /// How much is kept of a field.
    fn room(name: &[u8]) -> usize {
        match name {
            b"MESSAGE" => MESSAGE,
            b"__REALTIME_TIMESTAMP"
            | b"_HOSTNAME"
            | b"SYSLOG_IDENTIFIER"
            | b"_COMM"
            | b"SYSLOG_PID"
            | b"_PID" => FIELD,
            _ => 0,
        }
    }

    /// Takes a field; of several of one name the first counts.
    fn set(&mut self, name: &[u8], value: &[u8]) {
        let place = match name {
            b"MESSAGE" => {
                self.message.get_or_insert_with(|| value.to_vec());
                return;
            }
            b"__REALTIME_TIMESTAMP" => &mut self.time,
            b"_HOSTNAME" => &mut self.host,
            b"SYSLOG_IDENTIFIER" => &mut self.identifier,
            b"_COMM" => &mut self.command,
            b"SYSLOG_PID" => &mut self.said_pid,
            b"_PID" => &mut self.pid,
            _ => return,
        };
        if place.is_empty() {
            place.extend_from_slice(value);
        }
    }

    /// Writes the line of the entry; one without a message is none.
    fn write(&self, zone: &TimeZone, to: &mut Vec<u8>) {
        let Some(message) = &self.message else {
            return;
        };
        let micros = std::str::from_utf8(&self.time).ok();
        let micros = micros.and_then(|text| text.parse().ok());
        if let Some(time) = micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()) {
            let local = time.to_zoned(zone.clone());
            to.extend_from_slice(
                local
                    .strftime("%Y-%m-%dT%H:%M:%S.%6f%:z ")
                    .to_string()
                    .as_bytes(),
            );
        }
        let name = [&self.identifier, &self.command];
        let name = name.into_iter().find(|name| !name.is_empty());
        word(&self.host, b"localhost", to);
        to.push(b' ');
        word(name.map(Vec::as_slice).unwrap_or_default(), b"unknown", to);
        let pid = [&self.said_pid, &self.pid]
            .into_iter()
            .find(|pid| !pid.is_empty() && pid.len() < 11 && pid.iter().all(u8::is_ascii_digit));
        if let Some(pid) = pid {
            to.push(b'[');
            to.extend_from_slice(pid);
            to.push(b']');
        }
        to.extend_from_slice(b": ");
        for &byte in message.trim_ascii_end() {
            match byte {
                // As syslog daemons write it: a line's end within a message begins no line.
                b'\n' => to.extend_from_slice(b"#012"),
                byte => to.push(byte),
            }
        }
        to.push(b'\n');
    }
}

/// Writes what has to be one word; a tag with a blank or a line's end in it would move the rest.
fn word(text: &[u8], or_else: &[u8], to: &mut Vec<u8>) {
    let text = if text.is_empty() { or_else } else { text };
    let is_apart = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
    to.extend(
        text.iter()
            .map(|&byte| if is_apart(byte) { b'_' } else { byte }),
    );
}

/// What is read of an object.
#[derive(Deserialize)]
struct Object {
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    time: Value,
    #[serde(rename = "_HOSTNAME", default)]
    host: Value,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Value,
    #[serde(rename = "_COMM", default)]
    command: Value,
    #[serde(rename = "SYSLOG_PID", default)]
    said_pid: Value,
    #[serde(rename = "_PID", default)]
    pid: Value,
    #[serde(rename = "MESSAGE", default)]
    message: Value,
}

impl From<Object> for Entry {
    fn from(object: Object) -> Self {
        let field = |value: &Value, most: usize| {
            let mut bytes = bytes(value)?;
            bytes.truncate(most);
            Some(bytes)
        };
        let short = |value: &Value| field(value, FIELD).unwrap_or_default();
        Self {
            time: short(&object.time),
            host: short(&object.host),
            identifier: short(&object.identifier),
            command: short(&object.command),
            said_pid: short(&object.said_pid),
            pid: short(&object.pid),
            message: field(&object.message, MESSAGE),
        }
    }
}

/// A field's bytes: a text, an array of numbers where it is none, or an array of several values,
/// of which the first counts.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Array(items) => match items.first()? {
            Value::Number(_) => items
                .iter()
                .map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()))
                .collect(),
            first @ (Value::String(_) | Value::Array(_)) => bytes(first),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
