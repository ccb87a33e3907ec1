//! `master.cf`: services, eight fields and the arguments of a command.
//!
//! Owns reading, and edits of one service, one field or one `-o` that leave
//! every other byte alone. Must not know what a daemon does with an argument.
//! Follows master(5); where the manual is silent, what postconf(1) `-M` reads.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use super::logical_line::{
    self, Content, PieceKind, ends_in_braces, is_balanced, is_blank, split_outside_braces, trim,
};
use super::problem::{byte_problems, first_line};
use super::{EditError, Problem, ProblemKind};

/// What separates the fields of a service.
const FIELD_SEPARATORS: &[u8] = b" \t\r\n";

/// How many fields stand before the arguments.
const FIELD_COUNT: usize = 8;

/// The indent of an argument line in a file that shows none.
const ARGUMENT_INDENT: &[u8] = b"    ";

/// Commands whose words may hold a `-o` for somebody else.
const COMMANDS_THAT_RUN_COMMANDS: [&str; 2] = ["pipe", "spawn"];

/// Ports Postfix itself knows, so that a name and a number are one service.
// postconf(5), "known_tcp_ports"; submissions is what services(5) calls smtps today.
const PORTS: [(&str, &str); 5] = [
    ("lmtp", "24"),
    ("smtp", "25"),
    ("smtps", "465"),
    ("submissions", "465"),
    ("submission", "587"),
];

/// A `master.cf`, every byte of it.
#[derive(Clone, Debug, Default)]
pub struct MasterCf {
    text: Vec<u8>,
    services: Vec<Service>,
    /// Logical lines that are no services.
    odd: Vec<(Range<usize>, ProblemKind)>,
}

/// How a service is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServiceType {
    /// A TCP socket.
    Inet,
    /// A UNIX-domain stream socket.
    Unix,
    /// A named pipe.
    Fifo,
    /// A UNIX-domain socket that gets open connections (2.5+).
    Pass,
    /// A UNIX-domain datagram socket (3.4+).
    UnixDgram,
    /// What no version knows.
    Other(String),
}

impl ServiceType {
    /// Reads the second field of a service.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "inet" => Self::Inet,
            "unix" => Self::Unix,
            "fifo" => Self::Fifo,
            "pass" => Self::Pass,
            "unix-dgram" => Self::UnixDgram,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Unix => "unix",
            Self::Fifo => "fifo",
            Self::Pass => "pass",
            Self::UnixDgram => "unix-dgram",
            Self::Other(text) => text,
        })
    }
}

/// One of the eight fields of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The name, or `host:port`.
    Name,
    /// The type.
    Type,
    /// Whether the socket is for Postfix only.
    Private,
    /// Whether the daemon runs without root's rights.
    Unprivileged,
    /// Whether the daemon runs chrooted to the queue directory.
    Chroot,
    /// After how many seconds it is woken.
    Wakeup,
    /// How many processes may run at once.
    ProcessLimit,
    /// The daemon.
    Command,
}

/// One service, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The name as written.
    pub name: String,
    /// The type.
    pub kind: ServiceType,
    /// Whether the socket is private; `None` for `-`, which means yes.
    pub private: Option<bool>,
    /// Whether the daemon runs unprivileged; `None` for `-`, which means yes.
    pub unprivileged: Option<bool>,
    /// Whether the daemon runs chrooted; `None` for `-`, see [`effective_chroot`](super::effective_chroot).
    pub chroot: Option<bool>,
    /// The wakeup time as written: `-`, or digits with an optional `?`.
    pub wakeup: String,
    /// The process limit as written: `-`, or digits.
    pub process_limit: String,
    /// The daemon.
    pub command: String,
    /// What the daemon gets.
    pub arguments: Vec<Argument>,
    /// From the first byte of the name to the last byte of the last argument.
    pub span: Range<usize>,
    /// Whether a later service of the same key replaces this one.
    pub overridden: bool,
    fields: [(String, Range<usize>); FIELD_COUNT],
    /// The whole logical line, with its comments and its line end.
    piece: Range<usize>,
}

/// One argument of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// What it is.
    pub kind: ArgumentKind,
    /// From its `-o`, if it has one, to its last byte.
    pub span: Range<usize>,
    /// The word alone: without `-o`, with its braces.
    word: Range<usize>,
}

/// The kinds of arguments; braces around a word are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// `-o name=value`, which overrides a parameter.
    Override {
        /// The parameter.
        name: String,
        /// The value, nothing expanded.
        value: String,
    },
    /// `-o` with a word that is no `name=value`; the daemon stops.
    BareOverride(String),
    /// Another option, such as `-v`.
    Option(String),
    /// A word behind the options.
    Word(String),
}

impl Service {
    /// Reads the content of a logical line; `base` is where its text begins in the file.
    fn read(text: &[u8], piece: Range<usize>) -> Result<Self, ProblemKind> {
        let content = Content::of(text);
        let words = split_outside_braces(&content.bytes, FIELD_SEPARATORS);
        let place = |range: &Range<usize>| {
            let span = content.span(range);
            piece.start + span.start..piece.start + span.end
        };
        let string = |range: &Range<usize>| {
            String::from_utf8_lossy(&content.bytes[range.clone()]).into_owned()
        };
        let Some((fields, arguments)) = words.split_first_chunk::<FIELD_COUNT>() else {
            return Err(ProblemKind::FieldCount);
        };
        let span = place(&(fields[0].start..words[words.len() - 1].end));
        let fields = fields.each_ref().map(|field| (string(field), place(field)));
        let text = |field: Field| fields[field as usize].0.clone();
        let boolean = |field: Field| match fields[field as usize].0.as_str() {
            "y" => Some(true),
            "n" => Some(false),
            _ => None,
        };
        Ok(Self {
            name: text(Field::Name),
            kind: ServiceType::parse(&fields[Field::Type as usize].0),
            private: boolean(Field::Private),
            unprivileged: boolean(Field::Unprivileged),
            chroot: boolean(Field::Chroot),
            wakeup: text(Field::Wakeup),
            process_limit: text(Field::ProcessLimit),
            command: text(Field::Command),
            arguments: read_arguments(&content.bytes, arguments, &place),
            span,
            overridden: false,
            fields,
            piece,
        })
    }

    /// Gives a field as it is written.
    #[must_use]
    pub fn field(&self, field: Field) -> &str {
        &self.fields[field as usize].0
    }

    /// Lists the eight fields as they are written.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(text, _)| text.as_str())
    }

    /// Gives where a field stands.
    #[must_use]
    pub fn field_span(&self, field: Field) -> Range<usize> {
        self.fields[field as usize].1.clone()
    }

    /// Lists the parameters the service overrides, in order; of several of one name the last wins.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &str)> {
        self.arguments
            .iter()
            .filter_map(|argument| match &argument.kind {
                ArgumentKind::Override { name, value } => Some((name.as_str(), value.as_str())),
                _ => None,
            })
    }

    /// Gives what the service overrides a parameter by.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.overrides()
            .filter(|(found, _)| *found == name)
            .last()
            .map(|(_, value)| value)
    }

    /// Tells whether this is the service called `name` of a type; `smtp` and `25` are one port.
    #[must_use]
    pub fn is(&self, name: &str, kind: &ServiceType) -> bool {
        self.kind == *kind && canonical_name(&self.name, kind) == canonical_name(name, kind)
    }

    /// Tells whether master takes two entries for one service.
    #[must_use]
    pub fn same_service(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// Gives what master tells services apart by.
    fn key(&self) -> (String, &ServiceType, bool) {
        // A socket is private/NAME or public/NAME.
        let private = self.kind == ServiceType::Inet || self.private.unwrap_or(true);
        (canonical_name(&self.name, &self.kind), &self.kind, private)
    }

    /// Tells whether two entries say the same, whatever their layout.
    #[must_use]
    pub fn same_meaning(&self, other: &Self) -> bool {
        let fields = |service: &Self| service.fields.each_ref().map(|field| field.0.clone());
        let arguments = |service: &Self| -> Vec<ArgumentKind> {
            service
                .arguments
                .iter()
                .map(|argument| argument.kind.clone())
                .collect()
        };
        fields(self) == fields(other) && arguments(self) == arguments(other)
    }

    fn runs_commands(&self) -> bool {
        let program = self.command.rsplit('/').next().unwrap_or_default();
        COMMANDS_THAT_RUN_COMMANDS.contains(&program)
    }
}

/// Gives the name of a service in the form by which duplicates are found.
fn canonical_name(name: &str, kind: &ServiceType) -> String {
    if *kind != ServiceType::Inet {
        return name.to_owned();
    }
    let (host, port) = name.rsplit_once(':').unwrap_or(("", name));
    let port = PORTS
        .iter()
        .find(|(known, _)| *known == port)
        .map_or(port, |(_, number)| number);
    format!("{}:{port}", host.to_ascii_lowercase())
}

/// Takes the braces off a word, as Postfix does since 3.0.
fn without_braces(word: &[u8]) -> &[u8] {
    match word {
        [b'{', inner @ .., b'}'] => trim(inner),
        _ => word,
    }
}

/// Reads the words behind the command.
fn read_arguments(
    content: &[u8],
    words: &[Range<usize>],
    place: &impl Fn(&Range<usize>) -> Range<usize>,
) -> Vec<Argument> {
    let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut arguments = Vec::new();
    let mut options = true;
    let mut words = words.iter().peekable();
    while let Some(range) = words.next() {
        let word = &content[range.clone()];
        options &= word.starts_with(b"-") && word != b"--";
        if !options {
            arguments.push(Argument {
                kind: ArgumentKind::Word(string(without_braces(word))),
                span: place(range),
                word: place(range),
            });
            continue;
        }
        // Options may be written together, `-o` last: `-vo name=value`.
        let o = word
            .iter()
            .position(|byte| *byte == b'o')
            .filter(|at| *at > 0);
        let Some(o) = o else {
            arguments.push(Argument {
                kind: ArgumentKind::Option(string(word)),
                span: place(range),
                word: place(range),
            });
            continue;
        };
        let mut start = range.start;
        if o > 1 {
            start += o;
            arguments.push(Argument {
                kind: ArgumentKind::Option(string(&word[..o])),
                span: place(&(range.start..start)),
                word: place(&(range.start..start)),
            });
        }
        // A daemon gets a word with `-o` attached as it is: braces are for whole words.
        let (value, inner) = if o + 1 < word.len() {
            (range.start + o + 1..range.end, &word[o + 1..])
        } else {
            let value = words.next().cloned().unwrap_or(range.end..range.end);
            (value.clone(), without_braces(&content[value]))
        };
        let equals = inner.iter().position(|byte| *byte == b'=');
        let kind = match equals.map(|at| (trim(&inner[..at]), trim(&inner[at + 1..]))) {
            Some((name, value)) if !name.is_empty() && !name.iter().any(|byte| is_blank(*byte)) => {
                ArgumentKind::Override {
                    name: string(name),
                    value: string(value),
                }
            }
            _ => ArgumentKind::BareOverride(string(inner)),
        };
        arguments.push(Argument {
            kind,
            span: place(&(start..value.end)),
            word: place(&value),
        });
    }
    arguments
}

impl MasterCf {
    /// Reads a file; odd lines are kept and reported by [`Self::problems`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut file = Self {
            text: text.to_vec(),
            ..Self::default()
        };
        for (kind, range) in logical_line::pieces(text) {
            match kind {
                PieceKind::Filler => {}
                PieceKind::Orphan => file.odd.push((range, ProblemKind::LeadingBlank)),
                PieceKind::Line => match Service::read(&text[range.clone()], range.clone()) {
                    Ok(service) => file.services.push(service),
                    Err(problem) => file.odd.push((range, problem)),
                },
            }
        }
        let mut later = HashSet::new();
        let mut overridden: Vec<bool> = file
            .services
            .iter()
            .rev()
            .map(|service| !later.insert(service.key()))
            .collect();
        drop(later);
        for service in &mut file.services {
            service.overridden = overridden.pop().unwrap_or_default();
        }
        file
    }

    /// Prints the file, byte for byte what was read except for what was edited.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.text.clone()
    }

    /// Lists every service in file order, also those a later one overrides.
    #[must_use]
    pub fn services(&self) -> impl DoubleEndedIterator<Item = &Service> {
        self.services.iter()
    }

    /// Gives the service of a name and type that master uses: the last one.
    #[must_use]
    pub fn get(&self, name: &str, kind: &ServiceType) -> Option<&Service> {
        self.services
            .iter()
            .rev()
            .find(|service| service.is(name, kind))
    }

    /// Lists the services that a later one of the same name and type replaces.
    pub fn duplicates(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| service.overridden)
    }

    /// Adds the services of a fragment in the syntax of this file, or replaces those of the same key.
    ///
    /// A service that says the same already is left as it is written. Comments
    /// of the fragment between services are not taken over; comments inside a
    /// replaced service stay, below the new one.
    ///
    /// # Errors
    /// Fails if the fragment holds anything that master would not take.
    pub fn add(&mut self, fragment: &[u8]) -> Result<(), EditError> {
        let fragment = Self::parse(fragment);
        if let Some(problem) = fragment.problems().first() {
            return Err(EditError::Fragment { kind: problem.kind });
        }
        for service in &fragment.services {
            let mut text = Vec::new();
            let line_end = logical_line::line_end(&self.text);
            for line in logical_line::physical_lines(&fragment.text[service.piece.clone()]) {
                text.extend_from_slice(&line[..logical_line::line_stop(line, 0)]);
                text.extend_from_slice(line_end);
            }
            match self
                .services
                .iter()
                .rev()
                .find(|present| present.same_service(service))
            {
                Some(present) if present.same_meaning(service) => {}
                Some(present) => {
                    let piece = present.piece.clone();
                    text.extend(logical_line::ignored_lines(&self.text[piece.clone()]));
                    self.splice(piece, &text);
                }
                None => {
                    logical_line::end_last_line(&mut self.text);
                    let end = self.text.len();
                    self.splice(end..end, &text);
                }
            }
        }
        Ok(())
    }

    /// Removes every service of a name and type; comments inside it stay.
    pub fn remove(&mut self, name: &str, kind: &ServiceType) {
        while let Some(service) = self.get(name, kind) {
            let piece = service.piece.clone();
            let comments = logical_line::ignored_lines(&self.text[piece.clone()]);
            self.splice(piece, &comments);
        }
    }

    /// Sets what a service overrides a parameter by: the last such `-o` in place, or a new one.
    ///
    /// A new `-o` comes behind the options there are, before any other word.
    /// A value with blanks is written in braces, which Postfix reads since 3.0.
    ///
    /// # Errors
    /// Fails if there is no such service, or name or value would not be read back as given.
    pub fn set_option(
        &mut self,
        name: &str,
        kind: &ServiceType,
        option: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let service = self.get(name, kind).ok_or_else(|| no_service(name, kind))?;
        let value = value.trim_matches(|c: char| u8::try_from(c).is_ok_and(is_blank));
        let word = override_word(option, value)?;
        if service.option(option) == Some(value) {
            return Ok(());
        }
        let present = service.arguments.iter().rfind(|argument| {
            matches!(&argument.kind, ArgumentKind::Override { name, .. } if name == option)
        });
        if let Some(present) = present {
            let (span, range) = (present.span.clone(), present.word.clone());
            let attached = range.start == span.start + 2;
            if attached && word.starts_with('{') {
                self.splice(span, format!("-o {word}").as_bytes());
            } else {
                self.splice(range, word.as_bytes());
            }
            return Ok(());
        }
        // A last `-o` without its word would take the new one for it.
        let takes_options_behind = |argument: &&Argument| match &argument.kind {
            ArgumentKind::Word(_) => false,
            ArgumentKind::BareOverride(word) => !word.is_empty(),
            _ => true,
        };
        let end = service
            .arguments
            .iter()
            .rfind(takes_options_behind)
            .map_or(service.field_span(Field::Command).end, |argument| {
                argument.span.end
            });
        if ends_in_braces(&self.text[service.span.clone()]) {
            return Err(EditError::Unbalanced {
                name: format!("{name}/{kind}"),
            });
        }
        let stop = logical_line::line_stop(&self.text, end);
        let mut text = Vec::new();
        if trim(&self.text[end..stop]).is_empty() {
            let indent = service
                .arguments
                .first()
                .map(|argument| logical_line::indent_at(&self.text, argument.span.start))
                .filter(|indent| !indent.is_empty());
            // Like the line above, or like most lines if that one has no end.
            let rest = &self.text[stop..];
            let like = logical_line::physical_lines(rest)
                .next()
                .unwrap_or(&self.text);
            text.extend_from_slice(logical_line::line_end(like));
            text.extend_from_slice(indent.unwrap_or(ARGUMENT_INDENT));
        } else {
            text.push(b' ');
        }
        text.extend_from_slice(b"-o ");
        text.extend_from_slice(word.as_bytes());
        self.splice(end..end, &text);
        Ok(())
    }

    /// Replaces parts of what a service overrides a parameter by, given as ranges of the value
    /// that [`Service::option`] gives; the layout of the rest stays as it is.
    ///
    /// # Errors
    /// Fails if there is no such service or option, or it would not be read back as meant.
    pub fn replace_in_option(
        &mut self,
        name: &str,
        kind: &ServiceType,
        option: &str,
        parts: &[(Range<usize>, &str)],
    ) -> Result<(), EditError> {
        let service = self.get(name, kind).ok_or_else(|| no_service(name, kind))?;
        let present = service
            .arguments
            .iter()
            .rev()
            .find_map(|argument| match &argument.kind {
                ArgumentKind::Override { name, value } if name == option => {
                    Some((argument.word.clone(), value.clone()))
                }
                _ => None,
            });
        let Some((word, value)) = present else {
            return Err(EditError::Name {
                name: option.to_owned(),
            });
        };
        let piece = service.piece.clone();
        let content = Content::of(&self.text[piece.clone()]);
        let start = content.offset(word.start - piece.start);
        let end = content.offset(word.end - 1 - piece.start) + 1;
        let failed = || EditError::Value {
            name: option.to_owned(),
            value: value.clone(),
        };
        // The value stands behind the first `=` and the blanks there.
        let equals = content.bytes[start..end]
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or_else(failed)?;
        let behind = start + equals + 1;
        let blanks = content.bytes[behind..end]
            .iter()
            .take_while(|byte| is_blank(**byte))
            .count();
        let start = behind + blanks;
        if !content.bytes[start..end].starts_with(value.as_bytes()) {
            return Err(failed());
        }
        let spans = parts.iter().map(|(range, new)| {
            let span = content.span(&(start + range.start..start + range.end));
            (piece.start + span.start..piece.start + span.end, *new)
        });
        let edited = Self::parse(&logical_line::spliced(&self.text, spans));
        let wanted = logical_line::spliced(value.as_bytes(), parts.iter().cloned());
        let reads = edited
            .get(name, kind)
            .and_then(|service| service.option(option));
        if reads.map(str::as_bytes) != Some(&wanted) {
            return Err(failed());
        }
        *self = edited;
        Ok(())
    }

    /// Removes every `-o` of a parameter from a service.
    ///
    /// # Errors
    /// Fails if there is no such service.
    pub fn unset_option(
        &mut self,
        name: &str,
        kind: &ServiceType,
        option: &str,
    ) -> Result<(), EditError> {
        let service = self.get(name, kind).ok_or_else(|| no_service(name, kind))?;
        let piece = service.piece.clone();
        let text = &self.text[piece.clone()];
        let content = Content::of(text);
        let offset = |place: usize| content.offset(place - piece.start);
        let words: Vec<_> = service
            .arguments
            .iter()
            .map(|argument| offset(argument.span.start)..offset(argument.span.end - 1) + 1)
            .collect();
        let start = offset(service.field_span(Field::Command).end - 1) + 1;
        let cuts = logical_line::cuts(
            &words,
            Some(start),
            |index| matches!(&service.arguments[index].kind, ArgumentKind::Override { name, .. } if name == option),
        );
        if !cuts.is_empty() {
            let text = logical_line::without(text, &cuts);
            self.splice(piece, &text);
        }
        Ok(())
    }

    /// Sets one field of a service.
    ///
    /// # Errors
    /// Fails if there is no such service, or the field does not take the value.
    pub fn set_field(
        &mut self,
        name: &str,
        kind: &ServiceType,
        field: Field,
        value: &str,
    ) -> Result<(), EditError> {
        let service = self.get(name, kind).ok_or_else(|| no_service(name, kind))?;
        let fits = match field {
            Field::Name | Field::Command => {
                !value.is_empty()
                    && !value.starts_with('#')
                    && !value
                        .bytes()
                        .any(|byte| is_blank(byte) || matches!(byte, b'{' | b'}' | 0))
            }
            Field::Type => !matches!(ServiceType::parse(value), ServiceType::Other(_)),
            Field::Private | Field::Unprivileged | Field::Chroot => is_boolean(value),
            Field::Wakeup => is_wakeup(value),
            Field::ProcessLimit => is_process_limit(value),
        };
        if !fits {
            return Err(EditError::Value {
                name: format!("{name}/{kind}"),
                value: value.to_owned(),
            });
        }
        let span = service.field_span(field);
        self.splice(span, value.as_bytes());
        Ok(())
    }

    fn splice(&mut self, range: Range<usize>, text: &[u8]) {
        let mut whole = self.text[..range.start].to_vec();
        whole.extend_from_slice(text);
        whole.extend_from_slice(&self.text[range.end..]);
        *self = Self::parse(&whole);
    }

    /// Lists what is odd about the file, in file order.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |kind, span| problems.push(Problem { kind, span });
        byte_problems(&self.text, true, &mut report);
        for (range, kind) in &self.odd {
            let line = first_line(&self.text[range.clone()]);
            report(*kind, range.start + line.start..range.start + line.end);
        }
        for service in &self.services {
            problems::service_problems(service, &self.text, &mut report);
        }
        problems.sort_by_key(|problem| problem.span.start);
        problems
    }
}

fn no_service(name: &str, kind: &ServiceType) -> EditError {
    EditError::NoService {
        service: format!("{name}/{kind}"),
    }
}

fn is_boolean(text: &str) -> bool {
    matches!(text, "y" | "n" | "-")
}

fn is_wakeup(text: &str) -> bool {
    // `-?` is read as `-`.
    let digits = text.strip_suffix('?').unwrap_or(text);
    digits == "-" || digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_process_limit(text: &str) -> bool {
    text == "-" || text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes `name=value`, in braces if it holds blanks.
fn override_word(name: &str, value: &str) -> Result<String, EditError> {
    let odd = |byte: u8| is_blank(byte) || matches!(byte, b'=' | b'{' | b'}' | 0);
    if name.is_empty() || name.bytes().any(odd) {
        return Err(EditError::Name {
            name: name.to_owned(),
        });
    }
    if !is_balanced(value.as_bytes()) || value.bytes().any(|byte| matches!(byte, b'\n' | 0)) {
        return Err(EditError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
        });
    }
    if value.bytes().any(is_blank) {
        Ok(format!("{{ {name} = {value} }}"))
    } else {
        Ok(format!("{name}={value}"))
    }
}

mod problems;
#[cfg(test)]
mod tests;
