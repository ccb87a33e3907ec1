"""Tests of the laboratory's own parts that need no namespaces: `script/lab self-test`."""

import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from . import dns, maillog, named, spf, steps, world
from .cage import LabError
from .receiver import Behaviour
from .sender import Node

QUEUED = "Nov 25 19:56:44 mail postfix/cleanup[134]: 36D84E5: message-id=<1@sender.example>"
SENT = (
    "Nov 25 19:56:44 mail postfix/smtp[144]: 36D84E5: to=<a@example.org>, relay=mx.example.org[2001:db8::1]:25, "
    "delay=0.05, delays=0/0/0/0.05, dsn=2.0.0, status=sent (250 2.0.0 OK)"
)


class Dns(unittest.TestCase):
    """The answers of a name server."""

    # The answer to `gmail.com. MX` with a compressed exchange name.
    ANSWER = (
        b"\x12\x34\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00"
        b"\x05gmail\x03com\x00\x00\x0f\x00\x01"
        b"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x05\x00\x07\x00\x05\x02mx\xc0\x0c"
    )

    def test_compressed_name(self) -> None:
        self.assertEqual(dns._records(self.ANSWER, "gmail.com", "MX"), ["5 mx.gmail.com"])
        self.assertEqual(dns._records(self.ANSWER, "gmail.com", "A"), [])

    def test_no_such_name_is_an_answer_and_a_failure_is_not(self) -> None:
        status = lambda code: self.ANSWER[:3] + bytes([code]) + self.ANSWER[4:]  # noqa: E731
        self.assertEqual(dns._records(status(3), "gmail.com", "MX"), [])
        with self.assertRaises(dns.DnsError):
            dns._records(status(2), "gmail.com", "MX")

    def test_a_name_that_points_to_itself_ends(self) -> None:
        with self.assertRaises(dns.DnsError):
            dns._decode(b"\xc0\x00", 0)

    def test_zones(self) -> None:
        self.assertEqual(named._zone_of("ASPMX.L.GOOGLE.com."), "google.com.")
        self.assertEqual(named._zone_of("10.2.0.192.in-addr.arpa."), "2.0.192.in-addr.arpa.")
        self.assertEqual(named._zone_of(dns.reverse_name("2001:db8::10") + "."), "8.b.d.0.1.0.0.2.ip6.arpa.")
        with self.assertRaises(LabError):
            named._zone_of("gmail.com")


class Spf(unittest.TestCase):
    """The check of RFC 7208."""

    RECORDS = {
        ("a.example", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
        ("b.example", "TXT"): ["v=spf1 include:a.example a mx ~all", "unrelated"],
        ("b.example", "AAAA"): ["2001:db8::1"],
        ("b.example", "MX"): ["10 mx.b.example"],
        ("mx.b.example", "AAAA"): ["2001:db8::2"],
        ("c.example", "TXT"): ["v=spf1 redirect=a.example"],
        ("d.example", "TXT"): ["v=spf1 a", "v=spf1 mx"],
        ("e.example", "TXT"): ["v=spf1 include:e.example -all"],
    }

    def check(self, address: str, domain: str) -> str:
        return spf.check(lambda name, kind: self.RECORDS.get((name, kind), []), address, domain)

    def test_results(self) -> None:
        for address, domain, result in (
            ("192.0.2.7", "a.example", "pass"),
            ("2001:db8::1", "a.example", "fail"),
            ("192.0.2.7", "b.example", "pass"),
            ("2001:db8::1", "b.example", "pass"),
            ("2001:db8::2", "b.example", "pass"),
            ("2001:db8::3", "b.example", "softfail"),
            ("2001:db8::3", "c.example", "fail"),
            ("192.0.2.7", "d.example", "permerror"),
            ("192.0.2.7", "e.example", "fail"),
            ("192.0.2.7", "f.example", "none"),
        ):
            with self.subTest(address=address, domain=domain):
                self.assertEqual(self.check(address, domain), result)


class Log(unittest.TestCase):
    """What is read from Postfix's log."""

    def test_status_of_the_right_message(self) -> None:
        log = f"{QUEUED}\n{SENT}\n"
        (status,) = maillog.statuses(log, "<1@sender.example>", "a@example.org")
        self.assertEqual((status.word, status.dsn, status.text), ("sent", "2.0.0", "250 2.0.0 OK"))
        self.assertEqual(maillog.statuses(log, "<2@sender.example>", "a@example.org"), [])
        self.assertEqual(maillog.statuses(log, "<1@sender.example>", "b@example.org"), [])

    def test_death_of_an_agent(self) -> None:
        death = "Nov 25 19:56:44 mail postfix/smtp[9]: fatal: unknown service: smtp/tcp"
        self.assertEqual(maillog.dying_agent(f"{QUEUED}\n{death}\n"), death)
        self.assertEqual(maillog.dying_agent(f"{QUEUED}\n{SENT}\n"), "")


class Worlds(unittest.TestCase):
    """The schema of a world file."""

    def load(self, text: str) -> world.World:
        with TemporaryDirectory() as directory, mock.patch.object(world, "WORLDS", Path(directory)):
            (Path(directory) / "this.toml").write_text(f'title = "t"\n{text}')
            return world.load("this")

    def test_mistakes_are_errors_that_name_the_place(self) -> None:
        for text, words in (
            ("[sendr]", "unknown key `sendr`"),
            ("[sender]\nchroot = 'maybe'", "this.toml: sender: chroot is y, n or -"),
            ("[sender]\nstarted = 'yes'", "`started` must be a bool"),
            ("[domains.'gmail.com']\ngeneration = '1999'", "`1999` is none of"),
            ("[domains.'new.example']\nstage = 'rcpt'", "domains.new.example lacks the key `mx`"),
            ("[dns]\nwithout = ['nothing. A']", "no record `nothing. A`"),
            ("[[step]]\nsend = {'gmail.com' = 'gone'}", "step 1: `gone` of gmail.com"),
            ("[[step]]\nmtimes = true", "step 1: needs exactly one of"),
            ("[[step]]\nrun = ['true']\neach = 1", "unknown key `each`"),
            ("title = 'twice'", "Cannot overwrite a value"),
        ):
            with self.subTest(text=text), self.assertRaisesRegex(LabError, words.replace(".", r"\.")):
                self.load(text)

    def test_a_world_overrides_by_key(self) -> None:
        this = self.load("[receivers.gmail]\nstage = 'rcpt'\n[domains.'googlemail.com']\ngeneration = '2024'")
        host = next(host for host in this.hosts.values() if host.name == "gmail-smtp-in.l.google.com")
        self.assertEqual(host.towards("gmail.com"), Behaviour("google", "2016", "rcpt"))
        self.assertEqual(host.towards("googlemail.com"), Behaviour("google", "2024", "rcpt"))
        self.assertIn("gmail.com. MX 5 gmail-smtp-in.l.google.com.", this.records)


class Comparison(unittest.TestCase):
    """What counts as the same file, and what as the outcome wanted."""

    def test_difference(self) -> None:
        node = Node(mode=0o100644, uid=0, gid=0, content=b"a", attributes=(), modified=1)
        later = Node(**{**vars(node), "modified": 2})
        self.assertEqual(steps._difference(node, later, mtimes=False), "")
        self.assertEqual(steps._difference(node, later, mtimes=True), "was written again")
        for field, value in (("content", b"b"), ("mode", 0o100600), ("uid", 1), ("attributes", (("user.x", b""),))):
            self.assertTrue(steps._difference(node, Node(**{**vars(node), field: value}), mtimes=False), field)
        self.assertTrue(steps._difference(None, node, mtimes=False))
        self.assertTrue(steps._difference(node, None, mtimes=False))

    def test_outcomes(self) -> None:
        over4, bounced = ("ipv4", "250 OK"), ("bounced", "550 5.7.1 no")
        self.assertEqual(steps._send_problem([over4, over4], "ipv4", ""), "")
        self.assertTrue(steps._send_problem([over4, bounced], "ipv4", ""))
        self.assertTrue(steps._send_problem([bounced], "bounced", "5.7.25"))
        self.assertEqual(steps._send_problem([over4, bounced], "mixed", ""), "")
        self.assertTrue(steps._send_problem([over4, over4], "mixed", ""))
