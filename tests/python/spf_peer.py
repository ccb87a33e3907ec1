"""Judges messages with pyspf, over zones handed in; for tests/it/spf.

Reads a JSON list of {zone, host, helo, sender} and prints a list of
[result, explanation, result of pyspf as it comes]. Nothing is asked of any DNS server.

Where pyspf 2.0.14 and RFC 7208 part, the RFC is right, and `Standard` below does as it says:
every method and pattern there names its paragraph. All else has to be the same.
"""

import json
import re
import socket
import sys

import spf

zone = {}


def lookup(name, kind, strict=True, timeout=None, level=0):
    """What a server answers: the records of the name, with an alias the alias and its target."""
    labels = [label for label in name.split(".") if label]
    if any(len(label) > 63 for label in labels):
        raise spf.TempError("DNS label too long")
    entries = zone.get(".".join(labels).lower(), [])
    if not any(found == kind for found, _ in entries):
        if any(found == "TIMEOUT" for found, _ in entries):
            raise spf.TempError("DNS timeout")
    for found, value in entries:
        if found == "TIMEOUT":
            continue
        if found == "AAAA":
            value = socket.inet_pton(socket.AF_INET6, value)
        elif found == "TXT":
            value = (value.encode("utf-8"),)
        elif found == "MX":
            value = tuple(value)
        yield ((name, found), value)
        if found == "CNAME" and level == 0:
            yield from lookup(value, kind, strict, timeout, 1)


class Joiners:
    """7.3: parts are joined with dots, whatever they were split at and whatever the letter is."""

    def get(self, letter):
        return "."


# What a record without a match comes to: the end that `Standard` puts behind every record.
NO_MATCH = {"!": "no match"}


class Standard(spf.query):
    """pyspf with the words of the standard."""

    depth = 0
    pointers = None

    def __init__(self, i, s, h):
        """4.3: a sender without local part is the postmaster, in `%{s}` too."""
        super().__init__(i=i, s="postmaster" + s if s.startswith("@") else s, h=h)

    # 7.1, "macro-expand": `%%` may be the last of a text.
    invalid_macro = re.compile(r"^(?:[^%]|%[{%_-])*%(?![{%_-])")
    # 7.1, "transformers", and RFC 5234, 2.3: letters in the grammar mean both cases.
    arguments = re.compile(r"([0-9]*)([rR]?)([^0-9a-zA-Z]*)")

    def validate_mechanism(self, mech):
        """4.6.4: a record that includes itself is ended by the limit, where it is reached.

        5.7: `exists` needs a domain, also behind a qualifier.
        """
        if mech.lower().lstrip("+-~?") == "exists":
            raise spf.PermError("exists needs a domain", mech)
        try:
            return super().validate_mechanism(mech)
        except spf.PermError as error:
            if error.msg != "include has trivial recursion":
                raise
            return mech, "include", self.d, 32, spf.RESULTS.get(mech[0], "pass")

    def check0(self, record, recursion):
        """6: only `redirect` and `exp` must not stand twice, and case does not matter.

        6.1: `redirect` comes after all mechanisms and counts where it is followed.
        """
        if not record:
            return super().check0(record, recursion)
        version, *rest = record.split(" ")
        terms, seen, redirect = [version], 0, None
        for term in rest:
            name, equals, value = term.partition("=")
            if spf.RE_MODIFIER.match(term):
                if name.lower() == "redirect":
                    if redirect:
                        raise spf.PermError("redirect= twice")
                    if not value:
                        raise spf.PermError("redirect has empty domain")
                    redirect = self.expand_domain(value) or "."
                    continue
                seen += 1
                name = "exp" if name.lower() == "exp" else "x%d" % seen
                term = name + equals + value
            terms.append(term)
        result = super().check0(" ".join(terms + ["!all"]), recursion)
        if result[0] != "no match":
            return result
        if redirect is None:
            return "neutral", 250, ""
        self.check_lookups()
        target = self.dns_spf(redirect)
        if not target:
            raise spf.PermError("redirect domain has no SPF record")
        if not recursion:
            self.exps = dict(self.defexps, **{"no match": ""})
        return self.check1(target, redirect, recursion)

    def get_explanation(self, spec):
        """4.6.4: what `exp` asks for counts for no limit."""
        void = self.void_lookups
        try:
            return super().get_explanation(spec)
        finally:
            self.void_lookups = void

    def getp(self):
        """7.3: best the domain whose record is read, which is another for each record.

        4.6.4: terms count, and pyspf expands terms that are never reached.
        """
        if self.pointers is None:
            void = self.void_lookups
            self.void_lookups = -100
            self.pointers = self.validated_ptrs()
            self.void_lookups = void
        below = [name for name in self.pointers if name.endswith("." + self.d)]
        best = [name for name in self.pointers if name == self.d] + below + self.pointers
        self.p = best[0] if best else "unknown"
        return self.p

    def validated_ptrs(self):
        """5.5: failed lookups confirm nothing, and are no temporary errors."""

        def confirms(name):
            try:
                return self.cidrmatch(self.dns_a(name, self.A), self.cidrmax)
            except spf.TempError:
                return False

        try:
            names = self.dns_ptr(self.i)
        except spf.TempError:
            return []
        return [name for name in names[: spf.MAX_PTR] if confirms(name)]

    def dns(self, name, qtype, cnames=None, ignore_void=False):
        """4.6.4: a lookup that an alias leads to nothing is one, not two."""
        self.depth += 1
        try:
            return super().dns(name, qtype, cnames, ignore_void or self.depth > 1)
        finally:
            self.depth -= 1


plain = {name: getattr(spf, name) for name in ("RE_INVALID_MACRO", "RE_ARGS", "JOINERS")}
standard = {
    "RE_INVALID_MACRO": Standard.invalid_macro,
    "RE_ARGS": Standard.arguments,
    "JOINERS": Joiners(),
}


def judge(kind, patterns, case):
    vars(spf).update(patterns)
    query = kind(i=case["host"], s=case["sender"], h=case["helo"])
    query.t = "0"
    query.set_default_explanation("DEFAULT")
    query.exps["no match"] = ""
    result, _, explanation = query.check()
    return result, explanation


spf.DNSLookup = lookup
spf.RESULTS.update(NO_MATCH)
answers = []
for case in json.load(sys.stdin):
    zone = {name.lower(): entries for name, entries in case["zone"].items()}
    result, explanation = judge(Standard, standard, case)
    answers.append([result, explanation, judge(spf.query, plain, case)[0]])
json.dump(answers, sys.stdout)
