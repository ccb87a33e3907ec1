//! mailfix finds out why the big receivers refuse a Postfix server's mail, and mends it
//! safely. This page is its architecture.
//!
//! # The words
//!
//! | word | what it is | made from | read by |
//! |---|---|---|---|
//! | [`Site`](site::Site) | what the operator declares | `mailfix.toml` | target, records |
//! | [`Profile`](profile::Profile) | what a kind of host is like: paths, table types, chroot | `profiles/*.toml` | host, target |
//! | [`Provider`](provider::Provider) | what a receiver demands, and how it refuses | `profiles/providers/*.toml` | target, diagnose |
//! | [`Cause`](cause::Cause) | why mail is not taken, what it means, what to do | `profiles/causes/*.toml` | diagnose, doctor |
//! | [`Sheet`](remedy_sheet::Sheet) | what a remedy changes, needs, covers and costs | `profiles/remedies/*.toml` | target, `mailfix remedies` |
//! | [`Host`](host::Host) | what was observed: `Facts` and `Files` | the machine and DNS, looking only | `Facts`: target; `Files`: plan |
//! | [`Target`](target::Target) | what should hold | the four above (of the host, only `Facts`) | plan |
//! | [`Plan`](plan::Plan) | ordered steps: file changes (before, after) and commands | `Target` + `Files` | diff, apply |
//! | [`Receipt`](receipt::Receipt) | the plan, saved before the first write | apply | undo |
//! | [`Finding`](finding::Finding) | one thing wrong or worth knowing, with its place | checks, verification | the command line, doctor |
//! | [`Meaning`](meaning::Meaning) | what a finding's code stands for, and what to do | `profiles/findings/*.toml` | `mailfix explain` |
//! | [`Trouble`](doctor::Trouble) | one cause with all that tells of it | findings, log, queue, receipts | `mailfix doctor` |
//!
//! An `Err` says mailfix could not do its work. A finding says the work was done and this is
//! what it shows.
//!
//! # The flow, one way
//!
//! ```text
//! mailfix.toml ─▶ Site ──────────┐
//! profiles ─▶ Profile, Providers ┼─▶ Target ─┐
//! System(&) ─▶ Host ── Facts ────┘           ├─▶ Plan ─▶ rehearse ─▶ diff ─▶ apply(&mut System) ─▶ Receipt
//!               └───── Files ────────────────┘
//! verify = observe again (with the plan's DNS facts), plan again (must be empty), watch master and log
//! undo   = Receipt, inverted, against the files now ─▶ Plan ─▶ diff ─▶ apply
//! ```
//!
//! [`draft`] puts it together. Looking takes `&System`, changing takes `&mut System`: code that
//! was handed a `&dyn System` cannot write, so a dry run is "do not call apply". `Target` sees
//! `Facts`, never `Files`; otherwise a second run would differ from the first.
//!
//! # Modules, in reading order
//!
//! A module may name those of its line and below it, never those above; `tests/it/tidy.rs`
//! holds the list.
//!
//! 1. [`cli`]: arguments, one file a command, what is printed where, exit status.
//! 2. [`wizard`], [`ask`]: questions as values, and who answers them.
//! 3. [`doctor`]: what all looks show, put together and ranked.
//! 4. [`draft`]: the flow put together; [`migration`]: the same off Berkeley DB; [`watch`]: the
//!    moments after a reload; [`probe`]: a test message and what becomes of it.
//! 5. [`apply`], [`undo`], [`receipt`]: changing the machine and taking it back; [`push`]: the
//!    same for zones on a name server.
//! 6. [`diff`], [`plan`]: what will be done, as data and as text.
//! 7. [`target`], [`remedy`]: what should hold and why; one file a remedy.
//! 8. [`log_files`]: the files of a log, what packed them, and the journal written out.
//! 9. [`check`]: faults Postfix is silent about, one file a check; the rehearsal. [`dns_check`]:
//!    what DNS says of the addresses mail leaves from and of the domains it is sent for, one file
//!    a check. [`diagnose`]: why a message was not taken, and [`diagnose::log`], what a whole log
//!    comes to; [`explain`]: what a pasted text comes down to, and what to do. [`stats`]: what
//!    became of mail, in numbers.
//! 10. [`departure`]: from which of our addresses a delivery left.
//! 11. [`excerpt`]: what people paste, and what was seen in it; [`host`]: what is there;
//!     [`records`]: what DNS must say; [`maillog`]: where the log is; [`mail_hosts`]: whose a mail
//!     host is.
//! 12. Data: [`site`], [`profile`], [`provider`], [`cause`] and the [`catalogue`] of both,
//!     [`remedy_sheet`], [`meaning`], [`jail_keeper`], [`scheduler`], [`rewriter`], [`signer`], [`package`],
//!     [`template`]; [`data_file`], [`embedded`]: how it is read, and what of it ships inside the
//!     program.
//! 13. [`postfix`]: Postfix's files, parameters, versions and log; knows no word of mailfix.
//! 14. [`mail`]: SPF, DKIM and DMARC records, addresses.
//! 15. [`dns`]: names, records, zone text, lookups.
//! 16. [`finding`], [`system`]: what is shown, and the boundary to the machine; [`address`],
//!     [`spelling`]: what all the others may ask; [`memo`]: names found again quickly;
//!     [`mask`]: people's addresses made unknowable.
//!
//! # Boundaries
//!
//! [`System`](system::System): files, programs, clock-free. Beside reading, asking, writing,
//! removing and running it has `stat` and `list` (directories, links, leftovers), `read_after`
//! (the end of a log), `pieces` (a log longer than memory), `rehearse` (a private copy a
//! configuration is tried in, gone afterwards),
//! `addresses`, `source` and `user` (no program says these the same way everywhere) and `lock`.
//! `send` stands apart: a message cannot be taken back, so no plan holds one, and its receipt is
//! what [`probe`] finds in the log. A machine that cannot run mailfix is a system too:
//! [`PackedSystem`](system::PackedSystem) answers from what a script packed there, and errs about
//! what it did not see.
//! [`Resolver`](dns::Resolver): `SERVFAIL` and silence are errors, never "no record". One asks the
//! resolvers of this machine, one the servers of the zones themselves, one remembers what another
//! said; who asks does not know which.
//! [`UpdateServer`](dns::update::UpdateServer): a name server that takes signed updates. No plan
//! holds one either; [`push`] keeps its receipts, and takes it back by the inverse update.
//! [`Asker`](ask::Asker): whoever answers. The time is a value handed in.
//!
//! # Decisions
//!
//! - **An index is built at plan time.** `postmap` rewrites live databases in place, and a kill in
//!   between leaves a broken table. So it runs in the rehearsal's private copy, is asked there,
//!   and its database is part of the plan: a file change like any other, renamed into place.
//! - **Temporary names are known names** (`.main.cf.mailfix-new`), so that the next run finds and
//!   removes what a killed one left. That is why files are replaced by our own few lines.
//! - **There is no progress state.** How far an apply came is read off the files: each is as
//!   after, as before, or someone else's.
//! - **A second apply completes an interrupted one**, and its receipt takes over what was before
//!   the first, so that one undo brings the very first bytes back.
//! - **Whole files are ours, words are lent.** `mailfix/` below the configuration directory is ours.
//!   In shared files a named parameter, one item of a list or one service is touched, nothing else.
//! - **A remedy is a sheet and a function.** The sheet is data and is compared; `fit` says what it
//!   adds on this host or why it does not fit. One place chooses among them, or the site file.
//! - **A domain has one transport**, so whatever needs a client of its own for a receiver's mail (IPv4
//!   only, no faster than it takes it) shares one, made in one place beside the remedies.
//! - **What is not wanted any more goes**, by the same plan: items and tables below our folder, and
//!   the service our table names, if it still means just what we would write. What cannot be told
//!   from the administrator's stays and is named. Where nothing can be judged (no IPv6 at the
//!   moment), nothing goes.
//! - **SPF is ours.** Receivers stop at the first match; an administrator has to see every branch,
//!   what it costs and what to drop. [`check_host`](mail::spf::check_host) judges as RFC 7208 has
//!   it, [`survey`](mail::spf::survey) walks all of it.
//! - **A change of DNS goes by whole sets.** What is wanted, what stands there and what has to be
//!   written are compared a set (name and type) at a time, members of others kept; checks, forms
//!   and updates all read that one comparison ([`records::live`]).
//! - **Who signs and who rewrites senders is data**: a file in `profiles/` with its texts in
//!   `templates/`. What cannot be known not to sign already is refused.
//! - **Counting reads each byte once**: ranges of a file side by side, lines found by one marker,
//!   memory by what is told apart and not by length.
//! - **Most lines are read at a glance**: heads and fields in the order Postfix writes them, and
//!   whatever differs by a reader that takes any order; a property holds the two together. Mail that
//!   was taken is only kept as written until somebody waits for it.
//! - **What a reply means is data with its proof.** A signature carries the replies it was written
//!   for, and a test runs each on everybody's: none may take what is another's.
//! - **A log is read side by side and told in one order.** Threads take lines apart, one place joins
//!   what they noted in the order of the log, so that the result is the same wherever it was cut.
//! - **One trouble, many witnesses.** Which looks tell of the same, and what follows from what, is
//!   data (`profiles/ailments`). What is dealt with, or older than the last change, is no trouble.
//! - **A receipt notes the settings it made**, beside the bytes: others rewrite `main.cf` whole, and
//!   what of ours is gone from it must be told without a site file too.
//! - **A daily run is told from the last by what it said**, not by counts or times; what could not
//!   be looked at is neither new nor gone.
//! - **Whether Postfix runs** is read from its pid file: `postfix status` writes to the mail log,
//!   and looking changes nothing.

pub mod address;
pub mod apply;
pub mod ask;
pub mod catalogue;
pub mod cause;
pub mod check;
pub mod cli;
pub mod data_file;
pub mod departure;
pub mod diagnose;
pub mod diff;
pub mod dns;
pub mod dns_check;
pub mod doctor;
pub mod draft;
pub mod embedded;
pub mod excerpt;
pub mod explain;
pub mod finding;
pub mod host;
pub mod jail_keeper;
pub mod log_files;
pub mod mail;
pub mod mail_hosts;
pub mod maillog;
pub mod mask;
pub mod meaning;
pub mod memo;
pub mod migration;
pub mod package;
pub mod plan;
pub mod postfix;
pub mod probe;
pub mod profile;
pub mod provider;
pub mod push;
pub mod receipt;
pub mod records;
pub mod remedy;
pub mod remedy_sheet;
pub mod rewriter;
pub mod scheduler;
pub mod signer;
pub mod site;
pub mod spelling;
pub mod stats;
pub mod system;
pub mod target;
pub mod template;
pub mod undo;
pub mod watch;
pub mod wizard;
