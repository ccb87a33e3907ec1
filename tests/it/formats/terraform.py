"""Reads Terraform text and prints the records that its provider would make, as JSON."""

import json
import re
import sys

import dns.rdata
import hcl2

ESCAPE = re.compile(r'\\(["\\])|\\U([0-9a-f]{8})|\$\$\{|%%\{|[$%]\{|\\.', re.DOTALL)


def literal(raw):
    """The string that a quoted literal of HCL stands for; it must hold no template."""
    assert raw[0] == raw[-1] == '"', raw

    def one(found):
        text = found.group(0)
        if found.group(1):
            return found.group(1)
        if found.group(2):
            return chr(int(found.group(2), 16))
        assert text in ("$${", "%%{"), f"a template or an unknown escape: {raw}"
        return text[1:]

    return ESCAPE.sub(one, raw[1:-1])


def cloudflare(resource):
    """One record; the text of a TXT record is quoted strings as in zone files."""
    assert resource["proxied"] is False
    kind, content = literal(resource["type"]), literal(resource["content"])
    text = None
    if kind == "TXT":
        assert content[0] == content[-1] == '"'
        text = b"".join(dns.rdata.from_text("IN", "TXT", content).strings).hex()
    elif kind == "MX":
        content = f"{resource['priority']} {content}"
    yield kind, content, text


def route53(resource):
    """The records of a set; the provider quotes a text, Route 53 reads octal escapes."""
    kind = literal(resource["type"])
    for value in map(literal, resource["records"]):
        text = None
        if kind == "TXT":
            text = octal(f'"{value}"').hex()
        yield kind, value, text


def octal(value):
    """The bytes of quoted strings that stand side by side."""
    assert len(value) <= 4000
    made, at = bytearray(), 0
    while at < len(value):
        end = re.compile(r'"((?:[^"\\]|\\[0-7]{3}|\\["\\])*)"\s*').match(value, at)
        assert end, value
        string = re.sub(
            r"\\([0-7]{3}|.)",
            lambda found: chr(int(found[1], 8)) if len(found[1]) == 3 else found[1],
            end.group(1),
        ).encode("latin-1")
        assert len(string) <= 255
        made += string
        at = end.end()
    return bytes(made)


KINDS = {"cloudflare_dns_record": cloudflare, "aws_route53_record": route53}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        read = hcl2.load(file)
    variables = [name.strip('"') for block in read.get("variable", []) for name in block]
    assert len(variables) == len(set(variables)), variables
    seen, lines = set(), []
    for block in read["resource"]:
        for kind, named in block.items():
            for label, resource in named.items():
                identifier = (kind, label.strip('"'))
                assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", identifier[1]), label
                assert identifier not in seen, label
                seen.add(identifier)
                zone = re.fullmatch(r"\$\{var\.([A-Za-z0-9_-]+)\}", resource["zone_id"])
                assert zone.group(1) in variables, resource
                name, ttl = literal(resource["name"]), resource["ttl"]
                for kind_of_record, value, text in KINDS[kind.strip('"')](resource):
                    lines.append(
                        {"name": f"{name}.", "type": kind_of_record, "ttl": ttl, "value": value, "text": text}
                    )
    json.dump(lines, sys.stdout)


main()
