# Reads a file of Postfix; `kind` is main, master, map or table. With `count` it prints how many
# lines give way; else the file, with a final line end if `final` is 1.
function hides(name) {
    name = tolower(name)
    return name ~ /(pass|password|passwd|passphrase|secret|token|_pw)$/ || name ~ /(api|secret|access|private)_?key$/ || name == "pw"
}
function left_out() { return "{{ left_out }}" NR }
function blank(text) { return text ~ /^[ \t\r]*$/ }
function indent(text) { match(text, /^[ \t]*/); return substr(text, 1, RLENGTH) }
# A comment: a setting that was switched off, or a note about one.
function comment(line,    low) {
    low = tolower(line)
    if (low ~ /^[ \t#]*[a-z0-9_]*(password|passwd)_maps[ \t]*=/ && low !~ /(static|inline):/) {
        off = 0
        return line
    }
    if (low ~ /(pass(word|wd|phrase|wort)?|_pw|secret|token|api_?key)[a-z_]*[ \t]*[=:][ \t]*[^ \t\r]/ || low ~ /:[\/][\/][^ \t\/@]*:[^ \t@]*@/) {
        off = 1
        return "# " left_out()
    }
    if ((off && low ~ /^#+[ \t]+[^ \t\r]/) || (state >= 2 && low ~ /(static|inline):/)) return "# " left_out()
    off = 0
    return line
}
# `name = value`, and the lines that belong to it.
function setting(line,    at, name, text, low) {
    if (line ~ /^[ \t]/) {
        low = tolower(line)
        if (state == 1) return indent(line) left_out()
        if (state == 3 || (state == 2 && low ~ /(static|inline):/)) {
            state = 3
            return indent(line) "static:" left_out()
        }
        return without_login(line)
    }
    state = 0
    at = index(line, "=")
    if (at == 0) return without_login(line)
    name = substr(line, 1, at - 1)
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
    return without_login(line)
}
# `scheme://user:password@host`
function without_login(line,    start, size) {
    if (match(line, /:[\/][\/][^ \t\/@]*:[^ \t@]*@/)) {
        start = RSTART
        size = RLENGTH
        return substr(line, 1, start + 2) left_out() substr(line, start + size - 1)
    }
    return line
}
# Words of a service: `-o name=value`, `password=…`, `--password …`, each of them.
function service(line,    low, start, size, after, inner) {
    low = tolower(line)
    if (match(low, /(password|passwd|passphrase|secret|token|api_?key|_pw)[ \t]*=[ \t]*[^ \t\r]/) ||
        match(low, /(password|passwd)_maps[ \t]*=[ \t]*(proxy:)?(static|inline):/) ||
        match(low, /--?pass(word|wd|phrase)?[ \t]+[^ \t\r]/)) {
        start = RSTART
        size = RLENGTH
        inner = substr(line, start, size) ~ /:$/ ? "static:" : ""
        after = substr(line, start + size)
        if (substr(line, 1, start) ~ /[{][^}]*$/) sub(/^[^}]*/, "", after)
        else sub(/^[^ \t\r]*/, "", after)
        # Up to the sign or blank before the value.
        match(substr(line, start, size), /^[^= \t]*[ \t]*=?[ \t]*/)
        low = substr(line, 1, start + RLENGTH - 1)
        return service(low) inner left_out() service(after)
    }
    return without_login(line)
}
{
    old = $0
    if (old ~ /^[ \t]*#/) new = comment(old)
    else if (kind == "table") new = old
    else if (blank(old)) new = old
    else {
        off = 0
        new = kind == "master" ? service(old) : setting(old)
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
