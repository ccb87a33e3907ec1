# Reads a file of Postfix; `kind` is main, master, map, table, or errors for what its programs
# complain about. With `count` it prints how many lines give way; else the file, with a final
# line end if `final` is 1. A line that gives way comes back whole, so it may lose too much.
function hides(name) {
    name = tolower(name)
    return name ~ /(pass|pw|passwd|password|passphrase|secret|token|credentials?)[0-9]*$/ || name ~ /(api|secret|access|private)_?key$/
}
function left_out() { return "{{ left_out }}" NR }
function blank(text) { return text ~ /^[ \t\r]*$/ }
function indent(text) { match(text, /^[ \t]*/); return substr(text, 1, RLENGTH) }
# How many more braces are opened than closed.
function net(text,    opened) {
    opened = gsub(/[{]/, "{", text)
    return opened - gsub(/[}]/, "}", text)
}
# What stands for a text: its braces stay in balance. `open` are those it leaves open.
function gone(text,    more, before, after) {
    more = net(text)
    open = open + more < 0 ? 0 : open + more
    for (; more > 0; more--) before = before "{"
    for (; more < 0; more++) after = after "}"
    return before left_out() after
}
# The value of a table at the beginning of a text.
function first_value(text,    at, depth, c) {
    depth = 0
    for (at = 1; at <= length(text); at++) {
        c = substr(text, at, 1)
        if (depth == 0 && c ~ /[ \t\r,}]/) break
        if (c == "{") depth++
        if (c == "}") depth--
    }
    return substr(text, 1, at - 1)
}
# Tables that hold their values in their name: those of passwords, and all with `user:password`,
# which a table of passwords may name as `$name`.
function without_values(line, passwords,    done, head, rest, text) {
    done = ""
    while (match(tolower(line), /(static|inline):/)) {
        head = substr(line, 1, RSTART + RLENGTH - 1)
        rest = substr(line, RSTART + RLENGTH)
        if (tolower(head) ~ /(password|passwd)_maps/) passwords = 1
        text = first_value(rest)
        if (passwords || text ~ /:/ || net(text) > 0)
            return done substr(head, 1, length(head) - 7) "static:" gone(rest)
        done = done head text
        line = substr(rest, length(text) + 1)
    }
    return done line
}
# `scheme://user:password@host`, each of them.
function without_login(line,    done) {
    done = ""
    while (kind == "table" ? match(line, /:[\/][\/][^ \t\/]*:[^ \t]*@/) : match(line, /[\/][\/][^ \t\/]*:[^ \t]*@/)) {
        done = done substr(line, 1, RSTART + (kind == "table" ? 2 : 1)) left_out() "@"
        line = substr(line, RSTART + RLENGTH)
    }
    return done line
}
# `password=…`, `--password …`, `?password=…`, each of them.
function without_words(line,    low, start, size, head, after, quotes) {
    low = tolower(line)
    if ((kind != "table" && match(low, /(pass(word|wd|phrase)?|pw|secret|token|credentials?|api_?key)[0-9]*[ \t]*=[ \t]*[^ \t\r]/)) ||
        match(low, /[?&](pass(word|wd)?|pw|secret|token)=[^ \t\r&]/) ||
        match(low, /(^|[^a-z0-9_-])--?([a-z]+-)?(pass(word|wd|phrase)?|pw|secret|token|api-?key)[0-9]*[ \t=]+[^ \t\r=]/)) {
        start = RSTART
        size = RLENGTH
        head = substr(line, 1, start + size - 2)
        after = substr(line, start + size - 1)
        quotes = head
        quotes = gsub(/"/, "", quotes) % 2
        if (after ~ /^["'\\]/) after = quotes ? "\"" : ""
        else if (head ~ /[{][^}]*$/) sub(/^[^}]*/, "", after)
        else if (quotes) sub(/^[^ \t\r"]*/, "", after)
        else sub(/^[^ \t\r]*/, "", after)
        return without_words(head) left_out() without_words(after)
    }
    return line
}
# Whether the value of the last word comes in the next line.
function unfinished(line) {
    return tolower(line) ~ /(^|[ \t{])[a-z0-9_-]*(pass(word|wd|phrase)?|pw|secret|token|credentials?|api[_-]?key)[0-9]*[ \t]*=?[ \t\r]*$/
}
# A comment: a setting that was switched off, or a note about one.
function comment(line,    low) {
    low = tolower(line)
    if (low ~ /^[ \t#]*[a-z0-9_]*(password|passwd)_maps[ \t]*=/ && low !~ /(static|inline):/) {
        off = 0
        return line
    }
    if (low ~ /(pass(word|wd|phrase|wort)?|pw|secret|token|credentials?|api_?key)[a-z0-9_]*[ \t]*[=:][ \t]*[^ \t\r]/ ||
        low ~ /--?pass(word|wd|phrase)?[ \t]+[^ \t\r]/ || low ~ /[\/][\/][^ \t\/]*:[^ \t]*@/ ||
        (kind != "table" && low ~ /static:[^ \t,]*:/) || low ~ /inline:[ \t]*[{].*:/) {
        off = 1
        return "# " left_out()
    }
    if ((off && low ~ /^#+[ \t]+[^ \t\r]/) || ((state >= 2 || mentioned) && low ~ /(static|inline):/) || open > 0 || pending)
        return "# " left_out()
    off = 0
    return line
}
# The part of a line that holds no name.
function value(line) {
    if (!routes) line = without_values(line, 0)
    pending = unfinished(line)
    return without_login(without_words(line))
}
# `name = value`, and the lines that belong to it.
function setting(line,    at, name, text, low) {
    low = tolower(line)
    if (line ~ /^[ \t]/) {
        if (state == 1) return indent(line) left_out()
        if (state == 3 || (state == 2 && low ~ /(static|inline):/)) {
            state = 3
            return indent(line) "static:" left_out()
        }
        if (open > 0 || pending) {
            pending = 0
            return indent(line) gone(line)
        }
        return value(line)
    }
    state = open = pending = routes = 0
    if (kind == "errors" && (at = index(low, "missing '='"))) return substr(line, 1, at - 1) left_out()
    at = index(line, "=")
    name = at == 0 ? line : substr(line, 1, at - 1)
    if ((at == 0 || kind == "map") && kind != "errors" && tolower(name) ~ /pass|pw|secret|token|credential/) {
        state = 1
        if (at && blank(substr(line, at + 1))) return line
        return at ? substr(line, 1, match(line, /[^A-Za-z0-9_]/) - 1) " = " left_out() : left_out()
    }
    if (at == 0) return value(line)
    gsub(/[ \t]/, "", name)
    text = substr(line, at + 1)
    if (hides(name)) {
        state = 1
        return blank(text) ? line : substr(line, 1, at) " " left_out()
    }
    if (tolower(name) ~ /(password|passwd)_maps$/) {
        state = 2
        if (tolower(text) ~ /(static|inline):/) {
            state = 3
            return substr(line, 1, at) " static:" left_out()
        }
    }
    # Their `smtp:[host]` is what is looked for.
    routes = tolower(name) ~ /^(transport|sender_dependent_(default_transport|relayhost))_maps$/
    return substr(line, 1, at) value(text)
}
# A service, and the lines that belong to it.
function service(line) {
    if (line !~ /^[ \t]/) mentioned = open = pending = 0
    else if (open > 0 || pending) {
        pending = 0
        return indent(line) gone(line)
    }
    line = without_values(line, mentioned)
    if (tolower(line) ~ /(password|passwd)_maps/) mentioned = 1
    pending = unfinished(line)
    return without_login(without_words(line))
}
# A line of a table, where commands may stand.
function entry(line) {
    if (pending && line ~ /^[ \t]/) {
        pending = 0
        return indent(line) left_out()
    }
    pending = line ~ /-/ && unfinished(line)
    return without_login(without_words(line))
}
{
    old = $0
    if (old ~ /^[ \t]*#/) new = comment(old)
    else if (blank(old)) new = old
    else {
        off = 0
        if (kind == "master") new = service(old)
        else if (kind == "table") new = entry(old)
        else new = setting(old)
    }
    if (new != old) changed++
    if (!count) {
        if (NR > 1) printf "\n"
        ORS = ""
        print new
    }
}
END {
    if (count) print changed + 0
    else if (final) printf "\n"
}
