"""Tests of the laboratory's own parts that need no namespaces: `script/lab self-test`."""

import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from . import dkim, dns, doctor, maillog, matrix, named, policy, release, spf, steps, world
from .cage import LabError
from .policy import Behaviour, Judge, Mail
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


class Dkim(unittest.TestCase):
    """The check of RFC 6376, on a message that dkimpy signed and on our own signatures."""

    RECORD = (
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDWCCG57U+QBcVboVFIk1mreuBPXF/wmbNbyatuQ90fYNFLw4ZVGId"
        "ATzc8gH4XySO/vbTdQlPA9mk8pwtRljl0fFTQcQ3PsdZcnSAvklIE/YXpuCLt+9NCBT2qsOi8if2YkkQacyHa5RSHOAAP2IQM+jiiwjZr1qZf"
        "lHw+Rwc1HQIDAQAB"
    )
    MESSAGE = (
        b"From: Alice <alice@sender.example>\r\nTo: bob@gmail.com\r\nSubject: a  folded\r\n\t subject \r\n"
        b"Message-ID: <1@sender.example>\r\n\r\nHello,  \r\n world\t of mail.\r\n\r\n\r\n"
    )
    SIMPLE = (
        b"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=sender.example;\r\n i=@sender.example; q=dns/txt; s=s1;"
        b" t=1795646011; h=from : to :\r\n subject : subject; bh=2Cx0ryHtmPre+4xyJhhu6pgecNVwOanEAdn/tTvjW0c=;\r\n"
        b" b=L2hoEzuU1wGWzWhAPcsMA4sa3I5mqt/Pwflc7DMiYFLNzBWoU7ZO79vm0BAhOJq3kRLxY\r\n DZCPXt3+ypUsuKc8q3EBYbM/hOmLYsHb"
        b"6wtazeqUdp3bkX57bG/NLBaGh0ZS8gsKTjvbLjv\r\n xL4oe/ihfZxUtvpP5hzzGa58t1ytUNo=\r\n"
    )
    RELAXED = (
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example;\r\n i=@sender.example; q=dns/txt; s=s1;"
        b" t=1795646011; h=from : to :\r\n subject : subject; bh=aNf/r+1vVeKfjb38Oa1KlJUpUhMjYjET/2ccRZxfNy8=;\r\n"
        b" b=bxbgONb9ikh+jhBQy7VLfa4+Qa0BJ9v04gxnHLnOVQ4iWAKbWcGIY4HR9NW4DAnf6tCG2\r\n 7KXHACaoRITshNw9zBsDReqb42SZXSyP"
        b"56/5V6ypRzFkLz+CooQcfOm6MkWv4R+iZmogB7A\r\n /eNE69xkoaKo8utoAGsYX9P3VoGWLpo=\r\n"
    )
    # The private half, which signs nothing but this.
    KEY = """
        -----BEGIN PRIVATE KEY-----
        MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBANYIIbntT5AFxVuh
        UUiTWat64E9cX/CZs1vJq25D3R9g0UvDhlUYh0BPNzyAfhfJI7+9tN1CU8D2aTyn
        C1GWOXR8VNBxDc+x1lydIC+SUgT9hem4Iu3700IFPaqw6LyJ/ZiSRBpzIdrlFIc4
        AA/YhAz6OKLCNmvWpl+UfD5HBzUdAgMBAAECgYEAozS0MwjIoLQl2EdcqhDiUaZz
        IVD5P4iUgit3868AEItNTY6dAoqfp+Q/5Hy+qfiQsAdCwW1wXDYJ7Vwbf20kBVA8
        K/gp37mKSOihK/3qV2f6+W2L2XdSv1OL1639Zuee/4pTbumNXG6oAAhVSTVwspPV
        M9fLBU1D5f/zaoQY6EECQQDtSiDyyGlzjaYub/8SF+gB46798hHP6i5BSLJ2taf4
        dbnI7IDoS0BQE0DwBKIa8n+rgmUkKnvhMU1oZ3mWOLVZAkEA5uiGzA3uh5bcl275
        ihTQPmkqfF0vt1aI8zPO5gdUBdYRIBBbkDSYNH3lKfzArtYVOCHemNuqfnjgMj3W
        5irRZQJAOvPBv8+es0Cr2rmka0BZOa7xWNH9LuSFXV7MR8XV11qYL5ziYdPgRISk
        C317MKqyoU+iBRww7r+q9ZdPk8y+8QJBAN1WxWeybxRvyzIpwW/X9antmzktBkFC
        5PHjlo8vNR6HDVFj/LEliUS/7TyrOHQfaKWu6bYy0qJ68cWXO3jUUHUCQQCcuDnu
        9lO9EiQsr3CHmXtuqvBDfdFKNbLloKjigY77JW7TlCa4ungW8nx5oVGmblmc26LA
        P4V0WaUmJEikhhWD
        -----END PRIVATE KEY-----
    """

    def check(self, message: bytes, records: list[str] | None = None) -> str:
        records = [self.RECORD] if records is None else records
        there = ("s1._domainkey.sender.example", "TXT")
        return dkim.check(lambda name, kind: records if (name, kind) == there else [], message)

    def test_signatures_of_another_program(self) -> None:
        for signature in (self.SIMPLE, self.RELAXED):
            self.assertEqual(self.check(signature + self.MESSAGE), "pass")
            self.assertEqual(self.check(signature + self.MESSAGE + b"More.\r\n"), "fail (body has changed)")
            other = self.MESSAGE.replace(b"bob@", b"eve@")
            self.assertEqual(self.check(signature + other), "fail (signature does not match)")
        blanks = self.MESSAGE.replace(b"  folded", b" folded").replace(b"Hello,  ", b"Hello,")
        self.assertEqual(self.check(self.RELAXED + blanks), "pass")
        self.assertIn("fail", self.check(self.SIMPLE + blanks))

    def test_a_signature_of_our_own(self) -> None:
        key = dkim.private_key(self.KEY)
        signed = dkim.sign(self.MESSAGE, key, "sender.example", "s1", ["From", "Subject", "To"])
        self.assertEqual(self.check(signed), "pass")
        self.assertEqual(self.check(b"Received: by us\r\n" + signed), "pass")
        self.assertIn("fail", self.check(signed.replace(b"a  folded", b"a creased")))

    def test_what_cannot_be_checked(self) -> None:
        signed = self.SIMPLE + self.MESSAGE
        self.assertEqual(self.check(self.MESSAGE), "none")
        for message, records, result in (
            (signed, [], "0 key records"),
            (signed, ["v=DKIM1; p="], "revoked"),
            (signed, ["v=DKIM1; p=AAAA"], "cannot be read"),
            (signed.replace(b"rsa-sha256", b"rsa-sha1"), None, "algorithm"),
            (signed.replace(b"h=from", b"h=date"), None, "From is not signed"),
        ):
            with self.subTest(result=result):
                self.assertIn(result, self.check(message, records))


class Policy(unittest.TestCase):
    """What receivers demand."""

    RECORDS = {
        (dns.reverse_name("192.0.2.1"), "PTR"): ["a.example"],
        ("a.example", "A"): ["192.0.2.1"],
        (dns.reverse_name("2001:db8::1"), "PTR"): ["a.example"],
        (dns.reverse_name("2001:db8::2"), "PTR"): ["a.example"],
        ("a.example", "AAAA"): ["2001:db8::1"],
        ("a.example", "TXT"): ["v=spf1 ip4:192.0.2.1 ip6:2001:db8::3 -all"],
    }

    def refusal(self, behaviour: Behaviour, stage: str, address: str, recipient: str = "bob@gmail.com") -> str:
        judge = Judge(lambda name, kind: self.RECORDS.get((name, kind), []))
        mail = Mail(address, helo="h.example", sender="alice@a.example", recipient=recipient)
        return " ".join(judge.refusal(behaviour, stage, mail) or [])

    def test_google(self) -> None:
        for year, stage, address, code in (
            ("2016", "rcpt", "2001:db8::1", ""),  # confirmed
            ("2016", "rcpt", "2001:db8::2", "550 5.7.1 "),  # PTR of another name
            ("2016", "rcpt", "2001:db8::3", "550 5.7.1 "),  # none
            ("2016", "mail", "2001:db8::3", ""),  # not yet
            ("2016", "end-of-data", "2001:db8::1", "550 5.7.26 "),  # SPF names another
            ("2016", "end-of-data", "2001:db8::3", ""),  # SPF passes, PTR was the affair of RCPT
            ("2016", "rcpt", "192.0.2.2", ""),
            ("2016", "end-of-data", "192.0.2.2", ""),
            ("2024", "rcpt", "192.0.2.2", "550 5.7.25 "),
            ("2024", "rcpt", "192.0.2.1", ""),
            ("2024", "end-of-data", "192.0.2.2", "550 5.7.26 "),
            ("2024", "end-of-data", "192.0.2.1", ""),
            ("rate-2015", "rcpt", "2001:db8::3", "421 4.7.0 "),
        ):
            with self.subTest(year=year, stage=stage, address=address):
                reply = self.refusal(Behaviour("google", year, "rcpt"), stage, address)
                self.assertEqual(code in reply and bool(reply), bool(code), reply)

    def test_who_goes_by_the_records_of_the_sender(self) -> None:
        spf_only = Behaviour("spf")
        self.assertIn("550 5.7.23 ", self.refusal(spf_only, "rcpt", "192.0.2.9"))
        self.assertEqual(self.refusal(spf_only, "rcpt", "192.0.2.1"), "")
        records = {**self.RECORDS, ("_dmarc.a.example", "TXT"): ["v=DMARC1; p=reject"]}
        judge = Judge(lambda name, kind: records.get((name, kind), []))
        for sender, author, address, refused in (
            ("alice@a.example", "alice@a.example", "192.0.2.1", False),  # SPF of the author's domain
            ("alice@a.example", "alice@a.example", "192.0.2.9", True),  # fails
            ("srs0=x@a.example", "carol@b.example", "192.0.2.9", False),  # no policy
            ("carol@b.example", "alice@a.example", "192.0.2.1", True),  # of another domain
        ):
            with self.subTest(sender=sender, author=author, address=address):
                mail = Mail(address, "h.example", sender, "bob@c.example", f"From: {author}\r\n\r\n".encode())
                self.assertEqual(bool(judge.refusal(Behaviour("dmarc"), "end-of-data", mail)), refused)

    def test_single_messages(self) -> None:
        google = Behaviour("google")
        self.assertIn("550 5.1.1 ", self.refusal(google, "rcpt", "192.0.2.1", "unknown@gmail.com"))
        self.assertIn("likely unsolicited mail", self.refusal(google, "end-of-data", "192.0.2.1", "spam@gmail.com"))
        self.assertIn("550 5.1.1 ", self.refusal(Behaviour(), "rcpt", "192.0.2.1", "unknown@example.org"))
        self.assertEqual(self.refusal(Behaviour(), "end-of-data", "192.0.2.1", "spam@example.org"), "")

    def test_microsoft_says_it_for_a_while(self) -> None:
        microsoft = Behaviour("microsoft")
        self.assertTrue(self.refusal(microsoft, "rcpt", "2001:db8::2").startswith("450 4.7.25 "))
        self.assertTrue(self.refusal(microsoft, "end-of-data", "2001:db8::1").startswith("450 4.7.26 "))
        self.assertEqual(self.refusal(microsoft, "rcpt", "192.0.2.2"), "")

    def test_yahoo_counts(self) -> None:
        judge = Judge(lambda name, kind: [])
        yahoo = Behaviour("yahoo", rate=2, seconds=3600)
        replies = [judge.refusal(yahoo, "mail", Mail(address)) for address in ["192.0.2.1"] * 3 + ["192.0.2.2"]]
        self.assertEqual([bool(reply) for reply in replies], [False, False, True, False])
        self.assertIn("421 4.7.0 [TSS04]", replies[2][0])

    def test_netease_counts_what_is_open_at_all_its_hosts(self) -> None:
        judge = Judge(lambda name, kind: [])
        netease, mail = Behaviour("netease", connections=1), Mail("192.0.2.1")
        with judge.connected(netease, mail.address):
            self.assertIsNone(judge.refusal(netease, "banner", mail))
            with judge.connected(netease, mail.address):
                self.assertEqual(judge.refusal(netease, "banner", mail), ["421 Too many connections"])
                self.assertIsNone(judge.refusal(netease, "banner", Mail("192.0.2.2")))
            self.assertIsNone(judge.refusal(netease, "banner", mail))

    def test_every_kind_has_all_its_words(self) -> None:
        for kind in policy.KINDS:
            for key in ("banner", "accepted", "no-such-user"):
                self.assertTrue(policy.words(Behaviour(kind), key, host="h", recipient="r"))


class Log(unittest.TestCase):
    """What is read from Postfix's log."""

    def test_status_of_the_right_message(self) -> None:
        log = f"{QUEUED}\n{SENT}\n"
        (status,) = maillog.statuses(log, "<1@sender.example>", "a@example.org")
        self.assertEqual((status.word, status.dsn, status.text), ("sent", "2.0.0", "250 2.0.0 OK"))
        self.assertEqual(maillog.statuses(log, "<2@sender.example>", "a@example.org"), [])
        filtered = log.replace("mx.example.org[2001:db8::1]:25", "127.0.0.1[127.0.0.1]:10025")
        self.assertEqual(maillog.statuses(filtered, "<1@sender.example>", "a@example.org"), [])
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
            ("postfix = ['woody']", "this.toml: postfix: `woody` is none of bullseye"),
            ("[sender]\nshipped = true\nchroot = 'y'", "`shipped` means that `chroot` is the package's"),
            ("[sender]\nchroot = 'maybe'", "this.toml: sender: chroot is y, n or -"),
            ("[sender]\nstarted = 'yes'", "`started` must be a bool"),
            ("[domains.'gmail.com']\ngeneration = '1999'", "`1999` is none of"),
            ("[domains.'new.example']\nstage = 'rcpt'", "domains.new.example lacks the key `mx`"),
            ("[dns]\nwithout = ['nothing. A']", "no record `nothing. A`"),
            ("[[step]]\nsend = {'gmail.com' = 'gone'}", "step 1: `gone` of gmail.com"),
            ("[sender]\nipv6 = ['192.0.2.1']", "this.toml: sender: Expected 4|this.toml: sender: "),
            ("[recipients.'a@b.example']\nkind = 'odd'", "`odd` is none of"),
            ("[[step]]\nsend = {}\nsays = {'gmail.com' = 'x'}", "to whom nothing is sent"),
            ("[[step]]\nmtimes = true", "step 1: needs exactly one of"),
            ("[[step]]\nrun = ['true']\neach = 1", "unknown key `each`"),
            ("title = 'twice'", "Cannot overwrite a value"),
        ):
            with self.subTest(text=text), self.assertRaisesRegex(LabError, words.replace(".", r"\.")):
                self.load(text)

    def test_a_recipient_overrides_its_domain(self) -> None:
        this = self.load("[domains.'gmail.com']\nstage = 'data'\n[recipients.'a@gmail.com']\ngeneration = '2024'")
        host = next(host for host in this.hosts.values() if host.name == "gmail-smtp-in.l.google.com")
        self.assertEqual(host.towards("a@gmail.com"), Behaviour("google", "2024", "data"))
        self.assertEqual(host.towards("b@gmail.com"), Behaviour("google", "2016", "data"))
        self.assertEqual(host.towards("b@googlemail.com"), Behaviour("google", "2016", "end-of-data"))

    def test_releases_that_suit_a_world(self) -> None:
        for text, on in (
            ("", release.RELEASES),
            ("postfix = ['sid', 'bullseye']", ["bullseye", "sid"]),
            ("[sender.parameters]\ncompatibility_level = 3.6", ["bookworm", "trixie", "sid"]),
            ("[sender.parameters]\ncompatibility_level = 2", release.RELEASES),
        ):
            with self.subTest(text=text):
                this = self.load(text)
                self.assertEqual([name for name in release.RELEASES if this.suits(name)], on)
        for named, on in (
            ([], ["bookworm"]),
            (release.RELEASES, ["bookworm", "trixie"]),
            (["trixie", "sid"], ["trixie"]),
            (["bullseye"], ["bullseye"]),
        ):
            with self.subTest(named=named):
                self.assertEqual(release.usual(named), on)

    def test_a_world_overrides_by_key(self) -> None:
        this = self.load("[receivers.gmail]\nstage = 'rcpt'\n[domains.'googlemail.com']\ngeneration = '2024'")
        host = next(host for host in this.hosts.values() if host.name == "gmail-smtp-in.l.google.com")
        self.assertEqual(host.towards("gmail.com"), Behaviour("google", "2016", "rcpt"))
        self.assertEqual(host.towards("googlemail.com"), Behaviour("google", "2024", "rcpt"))
        self.assertIn("gmail.com. MX 5 gmail-smtp-in.l.google.com.", this.records)


class Matrix(unittest.TestCase):
    """The worlds of one pattern."""

    PATTERN = {
        "ci": ["b-dash-0"],
        "level": ["0", "2"],
        "chroot": {"n": "n", "y": "y", "dash": "-"},
        "generations": {"2013": "old", "2024": "new"},
        "stages": {"mail": "MAIL FROM", "rcpt": "RCPT TO"},
        "recipients": {"own": {"address": "{generation}.{stage}@g.com"}, "all": {"address": "u@{stage}.h.com", "mx": ["1 m"]}},
        "profiles": {
            "a": {"title": "A", "arguments": [], "sender": {}},
            "b": {"title": "B", "arguments": ["--profile", "b"], "sender": {"config_directory": "/b", "files": {"/f": ""}}},
        },
        "world": {
            "sender": {"parameters": {"x": "1"}, "files": {"@CONFIG@/t": "@CONFIG@"}},
            "step": [
                {"send": {"@CELLS@": "bounced", "z": "ipv6"}},
                {"run": ["p", "@ARGUMENTS@", "q"]},
                {"send": {"@CELLS@": "ipv4"}, "says": {}},
            ],
        },
    }

    def test_names(self) -> None:
        self.assertEqual(len(matrix.names(self.PATTERN)), 12)
        self.assertEqual(matrix.names(self.PATTERN)[4:7], ["matrix/a-dash-0", "matrix/a-dash-2", "matrix/b-n-0"])

    def test_expansion(self) -> None:
        this = matrix.expand(self.PATTERN, "matrix/b-dash-0")
        self.assertTrue(this["ci"])
        self.assertEqual(this["sender"]["files"], {"/b/t": "/b", "/f": ""})
        self.assertEqual((this["sender"]["chroot"], this["sender"]["filled_jail"]), ("-", True))
        self.assertEqual(this["sender"]["parameters"], {"x": "1", "compatibility_level": "0"})
        self.assertEqual(this["recipients"]["2013.rcpt@g.com"], {"generation": "2013", "stage": "rcpt"})
        self.assertEqual(this["domains"]["mail.h.com"], {"mx": ["1 m"], "generation": "2024", "stage": "mail"})
        first, second, third = this["step"]
        self.assertEqual(len(first["send"]), 7)
        self.assertEqual(first["says"]["2024.mail@g.com"], r"new.* \(in reply to MAIL FROM command")
        self.assertEqual(second["run"], ["p", "--profile", "b", "q"])
        self.assertEqual((third["send"]["2024.mail@g.com"], third["says"]), ("ipv4", {}))
        self.assertFalse(matrix.expand(self.PATTERN, "matrix/a-dash-2")["sender"]["filled_jail"])
        self.assertEqual(matrix.expand(self.PATTERN, "matrix/a-n-0")["step"][1]["run"], ["p", "q"])

    def test_the_pattern_itself(self) -> None:
        pattern = world._read(world.MATRIX)
        there = matrix.names(pattern)
        self.assertEqual([name for name in pattern["ci"] if matrix.PREFIX + name not in there], [])
        cells = matrix._cells(pattern)
        self.assertEqual(len(cells), len(pattern["generations"]) * len(pattern["stages"]) * len(pattern["recipients"]))


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
        self.assertEqual(steps._send_problem([over4, ("deferred", "421 later")], "slowed", ""), "")
        self.assertTrue(steps._send_problem([over4, over4], "slowed", ""))

    def test_lost_lines(self) -> None:
        before = "# mine\na = 1\nb =\n  2,\n  3\n"
        for after, lost in (
            (before, ""),
            ("# mine\na = 1\nb =\n  2,\n  3\n  4\n", ""),
            ("# mine\na = 1\nnew\nb =\n  2,\n  3, 4\n", ""),
            ("# mine\na = 1\nb = 2, 3\n", "  2,"),
            ("a = 1\nb =\n  2,\n  3\n", "# mine"),
            ("# mine\nb =\n  2,\n  3\na = 1\n", "b ="),
        ):
            with self.subTest(after=after):
                self.assertEqual(steps._lost_lines(_text(before), _text(after), []), lost)
        self.assertEqual(steps._lost_lines(_text(before), None, []), "# mine")
        self.assertEqual(steps._lost_lines(_text(before), _text("# mine\nb =\n  2,\n  3\n"), ["^a = "]), "")

    def test_records_of_zone_files(self) -> None:
        self.assertEqual(steps._rdata("TXT", "v=spf1 -all"), '"v=spf1 -all"')
        self.assertEqual(steps._rdata("TXT", "k" * 300), f'"{"k" * 255}" "{"k" * 45}"')
        self.assertEqual(steps._rdata("AAAA", "2001:db8::1"), "2001:db8::1")
        self.assertEqual(steps._rdata("PTR", "mail.a.example"), "mail.a.example.")


class Doctor(unittest.TestCase):
    """What is made of the list of `mailfix doctor`."""

    SICK = doctor.findings(
        '{"findings": [{"code": "ipv6-no-ptr", "severity": "error", "commands": ["mailfix init", "mailfix dns show"]},'
        ' {"code": "no-dmarc", "severity": "warning", "commands": []}]}'
    )

    def problems(self, first: str, found: list[doctor.Finding], ended: int, **options: object) -> str:
        return "; ".join(doctor.problems(found, ended, first, options))

    def test_the_planted_cause_is_first(self) -> None:
        self.assertEqual(self.problems("ipv6-no-ptr", self.SICK, 1, also=["no-dmarc"], lacks=["spf-fail"]), "")
        for first, problem in (
            ("no-dmarc", "`ipv6-no-ptr` is first and `no-dmarc` is number 2"),
            ("spf-fail", "`ipv6-no-ptr` is first and `spf-fail` is not there"),
            (doctor.NOTHING, "found ipv6-no-ptr, no-dmarc"),
        ):
            self.assertEqual(self.problems(first, self.SICK, 1), problem)
        self.assertEqual(self.problems("ipv6-no-ptr", [], 0), "found nothing, not even `ipv6-no-ptr`")

    def test_what_stands_behind_it(self) -> None:
        for options, problem in (
            ({"also": ["ipv6-no-ptr"]}, "`ipv6-no-ptr` does not come behind it"),
            ({"lacks": ["no-dmarc"]}, "`no-dmarc` is there"),
            ({"notes": ["no-dmarc"]}, "`no-dmarc` is warning, not a note"),
            ({"notes": ["spf-fail"]}, "`spf-fail` is not there, not a note"),
            ({"alone": True}, "more is there: no-dmarc"),
        ):
            self.assertEqual(self.problems("ipv6-no-ptr", self.SICK, 1, **options), problem)

    def test_the_status_says_whether_there_are_errors(self) -> None:
        self.assertEqual(self.problems("no-dmarc", self.SICK[1:], 0), "")
        self.assertEqual(self.problems("no-dmarc", self.SICK[1:], 1), "status 1, not 0")
        self.assertEqual(self.problems("ipv6-no-ptr", self.SICK, 0), "status 0, not 1")
        self.assertEqual(self.problems(doctor.NOTHING, [], 0), "")
        self.assertEqual(self.problems(doctor.NOTHING, [], 75, status=75), "")

    def test_what_is_no_list_of_findings(self) -> None:
        for output in ("", "[]", "{}", '{"findings": [{"code": "x"}]}', '{"findings": null}'):
            with self.subTest(output=output), self.assertRaises(doctor.Unreadable):
                doctor.findings(output)

    def test_every_world_says_what_ails_it(self) -> None:
        silent = [name for name in world.names() if not any(step.verb == "doctor" for step in world.load(name).steps)]
        self.assertEqual(silent, [])

    def test_the_command_to_mend_it(self) -> None:
        self.assertEqual(doctor.remedy(self.SICK), "mailfix init")
        self.assertEqual(doctor.remedy(self.SICK[1:]), "")
        self.assertEqual(doctor.remedy([]), "")
        for command, answered in (
            ("mailfix init", "mailfix init --domain a.example"),
            ("mailfix apply", "mailfix apply --no-input --yes"),
            ("mailfix dns show", "mailfix dns show --json"),
            ("postmap hash:/etc/postfix/transport", "postmap hash:/etc/postfix/transport"),
            ("postfix reload && mailfix undo", "postfix reload && mailfix undo --no-input --yes"),
        ):
            self.assertEqual(doctor.answered(command, ["--domain", "a.example"]), answered)


def _text(content: str) -> Node:
    return Node(mode=0o100644, uid=0, gid=0, content=content.encode(), attributes=(), modified=1)
