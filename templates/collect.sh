#!/bin/sh
# Packs what mailfix has to know of a Postfix into one tar file, for planning on another machine.
# Written by mailfix {{ version }} (`mailfix collect`). Run it as root on the mail server:
#
#     sh collect.sh [-c CONFIGURATION-DIRECTORY]... [FILE]
#
# It needs Postfix's own programs and a POSIX shell. It changes nothing but FILE
# (mailfix-collected.tar unless said otherwise, never overwritten) and a directory of its own
# below ${TMPDIR:-/tmp}, which it removes. Passwords and keys stay behind: what is left out is
# said, and `tar tf FILE` lists what is packed.

set -f
umask 077
LC_ALL=C
# Else the tar of Mac OS X packs a second, hidden file beside each.
COPYFILE_DISABLE=1
export LC_ALL COPYFILE_DISABLE
newline='
'

say() {
    printf 'collect: %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# Arguments ---------------------------------------------------------------------------------

out=
given=
while [ $# -gt 0 ]; do
    case $1 in
    -c)
        [ $# -gt 1 ] || fail "\`-c\` needs a directory"
        case $2 in
        *"$newline"*) fail "the name of the directory has a line end in it" ;;
        /*) given=$given$2$newline ;;
        *) given=$given$(pwd)/$2$newline ;;
        esac
        shift
        ;;
    -*)
        fail "usage: sh collect.sh [-c CONFIGURATION-DIRECTORY]... [FILE]"
        ;;
    *)
        [ -z "$out" ] || fail "only one file can be written"
        out=$1
        ;;
    esac
    shift
done
out=${out:-mailfix-collected.tar}
case $out in
/*) ;;
*) out=$(pwd)/$out ;;
esac

# What it stands on -------------------------------------------------------------------------

has() {
    type "$1" >/dev/null 2>&1
}

has postconf || PATH=$PATH:{{ programs }}
export PATH
lacking=
for tool in awk cat cksum date find grep id ls mkdir printf rm sed tail touch uname wc; do
    has "$tool" || lacking="$lacking $tool"
done
[ -z "$lacking" ] || fail "this machine lacks:$lacking"
packer=
for tool in tar pax; do
    [ -n "$packer" ] || ! has "$tool" || packer=$tool
done
[ -n "$packer" ] || fail "this machine has neither \`tar\` nor \`pax\`"
for tool in postconf postmap; do
    has "$tool" || fail "\`$tool\` is not on the path, so there is no Postfix to look at"
done
[ "$(id -u)" = 0 ] || fail "only root can see all of it: run it as root (\`su\` or \`sudo sh collect.sh\`)"
if [ -e "$out" ] || [ -h "$out" ]; then
    fail "\`$out\` is there already and is not overwritten; name another file"
fi

# A directory of its own, gone however this ends ----------------------------------------------

work=
end() {
    status=$?
    trap '' HUP INT PIPE TERM
    trap - EXIT
    if [ -n "$work" ]; then
        [ ! -f "$work/opened" ] || rm -f "$out"
        rm -rf "$work"
    fi
    exit "$status"
}
trap end EXIT
trap 'say "interrupted; nothing is left behind"; exit 130' HUP INT PIPE TERM

temporary=${TMPDIR:-/tmp}
case $temporary in
/*) ;;
*) temporary=$(pwd)/$temporary ;;
esac
number=0
while [ -z "$work" ]; do
    # mkdir fails where anything stands already, a link of somebody else's too.
    place=$temporary/mailfix-collect.$$.$number
    if mkdir "$place" 2>/dev/null; then
        work=$place
    fi
    number=$((number + 1))
    [ -n "$work" ] || [ "$number" -lt 20 ] || fail "cannot make a directory in \`$temporary\`"
done
pack=$work/mailfix-collected
paths=$pack/paths
contents=$pack/contents
mkdir "$pack" "$pack/queries" "$pack/addresses" || exit 1
: >"$paths"
: >"$contents"
: >"$pack/left-out"
: >"$pack/alive"
: >"$pack/users"

# Lines that hold a password or key give way to `mailfix-left-out-LINE`, all else stays as it is.
cat >"$work/redact.awk" <<'AWK'
{% include "redact.awk" %}
AWK

# An awk that cannot do this must not be found out by what it lets through.
tried=$(
    printf 'a = b\nsmtp_sasl_password_maps = static:me:known\nown_pw =\n known' |
        awk -v kind=main -v final=1 -f "$work/redact.awk"
) || tried=
[ "$tried" = "a = b
smtp_sasl_password_maps = static:{{ left_out }}2
own_pw =
 {{ left_out }}4" ] || fail "\`awk\` does not leave passwords out here; put a POSIX one first on the path"

# Every word of every parameter and of the options of services, with `$name` replaced.
cat >"$work/words.awk" <<'AWK'
function expand(text, depth,    done, start, size, name) {
    done = ""
    while (match(text, /[$]([A-Za-z0-9_]+|[{][A-Za-z0-9_]+[}]|[(][A-Za-z0-9_]+[)])/)) {
        start = RSTART
        size = RLENGTH
        name = substr(text, start + 1, size - 1)
        gsub(/[{}()]/, "", name)
        done = done substr(text, 1, start - 1)
        if (depth < 20 && (name in value)) done = done expand(value[name], depth + 1)
        text = substr(text, start + size)
    }
    return done text
}
function say_words(name, text,    at, depth, c, word, inner, part, parts) {
    depth = 0
    word = ""
    for (at = 1; at <= length(text) + 1; at++) {
        c = at > length(text) ? " " : substr(text, at, 1)
        if (c == "{") depth++
        if (c == "}") depth--
        if (depth <= 0 && c ~ /[ \t\r,]/) {
            if (word != "") print "outer\t" name "\t" word
            # A table of tables: those in it.
            if (word ~ /[{]/) {
                gsub(/[{},]/, " ", word)
                inner = split(word, parts, /[ \t]+/)
                for (part = 1; part <= inner; part++)
                    if (parts[part] ~ /^[a-z]+:[\/]/) print "inner\t" name "\t" parts[part]
            }
            word = ""
        } else {
            word = word c
        }
    }
}
FNR == 1 { file++ }
/^[ \t\r]*(#|$)/ { next }
file == 1 && /^[^ \t]/ {
    name = $0
    sub(/[ \t]*=.*/, "", name)
    text = $0
    sub(/^[^=]*=[ \t]*/, "", text)
    value[name] = text
    if (!(name in known)) order[++count] = name
    known[name] = 1
    next
}
file == 1 { value[name] = value[name] $0; next }
{
    line = $0
    while (match(line, /-o[ \t]*([{][ \t]*)?[A-Za-z0-9_]+[ \t]*=[ \t]*[^ \t]+/)) {
        text = substr(line, RSTART, RLENGTH)
        line = substr(line, RSTART + RLENGTH)
        sub(/^-o[ \t]*([{][ \t]*)?/, "", text)
        name = text
        sub(/[ \t]*=.*/, "", name)
        sub(/^[^=]*=[ \t]*/, "", text)
        given[++options] = name
        givens[options] = text
    }
}
END {
    value["config_directory"] = config
    for (at = 1; at <= count; at++) say_words(order[at], expand(value[order[at]], 0))
    for (at = 1; at <= options; at++) say_words(given[at], expand(givens[at], 0))
}
AWK

# What stands where ---------------------------------------------------------------------------

noted=$newline

# Notes what one path is, each once.
note() {
    case $noted in
    *"$newline$1$newline"*) return 0 ;;
    esac
    noted=$noted$1$newline
    if line=$(ls -ldn "$1" 2>/dev/null); then
        printf 'path %s\nls %s\n' "$1" "$line" >>"$paths"
    else
        printf 'absent %s\n' "$1" >>"$paths"
    fi
}

# Notes a path with every directory and symbolic link on the way to it; `real` is where it leads.
look() {
    real=
    links=0
    left=${1#/}
    while [ -n "$left" ]; do
        step=${left%%/*}
        case $left in
        */*) left=${left#*/} ;;
        *) left= ;;
        esac
        case $step in
        '' | .) continue ;;
        ..)
            real=${real%/*}
            continue
            ;;
        esac
        note "$real/$step"
        if [ -h "$real/$step" ]; then
            links=$((links + 1))
            [ "$links" -le 40 ] || return 1
            line=$(ls -ldn "$real/$step")
            target=${line#*"$real/$step -> "}
            left=$target/$left
            case $target in
            /*) real= ;;
            esac
        else
            real=$real/$step
        fi
    done
    [ -e "$real" ]
}

# Runs a command for each name in a directory: `each DIRECTORY COMMAND`.
each() {
    set +f
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        set -f
        case $entry in
        *"$newline"*)
            say "left out, its name has a line end in it: a file in \`$1\`"
            continue
            ;;
        esac
        if [ -e "$entry" ] || [ -h "$entry" ]; then
            "$2" "$entry"
        fi
        set +f
    done
    set -f
}

# Notes a directory and everything in it: `list DIRECTORY [COMMAND]`.
list() {
    if ! look "$1" || [ ! -d "$real" ]; then
        return 0
    fi
    printf 'listed %s\n' "$real" >>"$paths"
    each "$real" "${2:-note}"
}

# Keeps the time of a file that is not packed itself.
stamp() {
    if [ -f "$1" ] && [ ! -h "$1" ] && [ ! -f "$pack/files$1" ]; then
        mkdir -p "$pack/times${1%/*}"
        : >"$pack/times$1"
        touch -r "$1" "$pack/times$1"
    fi
}

stamped() {
    if look "$1"; then
        stamp "$real"
    fi
}

leave_out() {
    if grep -x -F "$1 $2" "$pack/left-out" >/dev/null; then
        return 0
    fi
    printf '%s %s\n' "$1" "$2" >>"$pack/left-out"
    case $1 in
    credentials) say "left out, it may hold passwords or keys: \`$2\`" ;;
    large) say "left out, it is large: \`$2\`" ;;
    other) say "left out, it is no regular file: \`$2\`" ;;
    esac
}

# Packs a file: `keep KIND PATH`, where the kind says how its passwords look.
keep() {
    look "$2" || return 0
    [ ! -f "$pack/files$real" ] || return 0
    if [ ! -f "$real" ]; then
        [ -d "$real" ] || leave_out other "$real"
        return 0
    fi
    case ${real##*/} in
    *.key | *.pem | *.p12 | *.pfx | *.keytab | *[Pp][Aa][Ss][Ss][Ww]* | *[Ss][Ee][Cc][Rr][Ee][Tt]* | *shadow* | *credential*)
        leave_out credentials "$real"
        stamp "$real"
        return 0
        ;;
    esac
    if [ "$1" != own ] && [ "$(($(wc -c <"$real")))" -gt {{ largest }} ]; then
        leave_out large "$real"
        stamp "$real"
        return 0
    fi
    if grep 'PRIVATE KEY' "$real" >/dev/null 2>&1; then
        leave_out credentials "$real"
        stamp "$real"
        return 0
    fi
    mkdir -p "$pack/files${real%/*}" || exit 1
    sum=$(cksum <"$real") || exit 1
    redact "$1" "$real" "$pack/files$real"
    touch -r "$real" "$pack/files$real"
    printf '%s %s %s\n' "$sum" "$hidden" "$real" >>"$contents"
    [ "$hidden" = 0 ] || say "left out of \`$real\`: lines that may hold passwords ($hidden)"
}

# Copies a file without its passwords; `hidden` is the number of lines changed.
redact() {
    hidden=0
    if [ "$1" != own ]; then
        hidden=$(awk -v kind="$1" -v count=1 -f "$work/redact.awk" "$2") || hidden=
        case $hidden in
        '' | *[!0-9]*) fail "\`awk\` failed, so passwords in \`$2\` cannot be left out" ;;
        esac
    fi
    if [ "$hidden" = 0 ]; then
        cat "$2" >"$3" || exit 1
        return 0
    fi
    final=1
    [ -z "$(tail -c 1 "$2")" ] || final=0
    awk -v kind="$1" -v final="$final" -f "$work/redact.awk" "$2" >"$3" ||
        fail "\`awk\` failed, so passwords in \`$2\` cannot be left out"
}

keep_own() {
    if [ -d "$1" ]; then
        list "$1" stamped
    else
        keep own "$1"
    fi
}

# What Postfix says -----------------------------------------------------------------------------

asked=0

# Asks postconf: `ask CONFIGURATION-DIRECTORY-OR-NOTHING ARGUMENTS`; `answer` is the file.
ask() {
    config=$1
    shift
    asked=$((asked + 1))
    answer=$pack/queries/$asked
    mkdir "$answer" || exit 1
    {
        printf 'postconf\n%s\n' "$config"
        for word in "$@"; do
            printf '%s\n' "$word"
        done
    } >"$answer/words"
    if [ -n "$config" ]; then
        set -- -c "$config" "$@"
    fi
    postconf "$@" >"$work/said" 2>"$work/errors" </dev/null
    printf '%s\n' "$?" >"$answer/status"
    redact main "$work/said" "$answer/out"
    redact errors "$work/errors" "$answer/err"
}

# Asks a table for every key: `look_up CONFIGURATION-DIRECTORY TABLE FILE-OF-KEYS`.
look_up() {
    asked=$((asked + 1))
    answer=$pack/queries/$asked
    mkdir "$answer" || exit 1
    printf 'postmap\n%s\n%s\n' "$1" "$2" >"$answer/words"
    cat "$3" >"$answer/keys"
    postmap -c "$1" -q - "$2" >"$answer/out" 2>"$work/errors" <"$3"
    printf '%s\n' "$?" >"$answer/status"
    redact errors "$work/errors" "$answer/err"
}

cat >"$work/transport-keys" <<'END'
{% for key in transport_keys %}
{{ key }}
{% endfor %}
END
cat >"$work/filter-keys" <<'END'
{% for key in filter_keys %}
{{ key }}
{% endfor %}
END
cat >"$work/reply-keys" <<'END'
{% for key in reply_keys %}
{{ key }}
{% endfor %}
END
cat >"$work/host-files" <<'END'
{% for path in host_files %}
{{ path }}
{% endfor %}
END

# Packs the file of a table: `file_of TYPE:FILE`.
file_of() {
    file=/${1#*:/}
    kind=${1%%:/*}
    case ${kind##*:} in
    hash | btree | dbm | cdb | lmdb | sdbm | texthash | regexp | pcre | cidr)
        for end in .db .lmdb .cdb .dir .pag; do
            stamped "$file$end"
        done
        keep_named table "$file"
        ;;
    ldap | mysql | pgsql | sqlite | memcache | mongodb)
        keep_named map "$file"
        ;;
    esac
}

# Packs a file unless it is one of those that hold passwords.
keep_named() {
    look "$2" || return 0
    if grep -x -F "$real" "$work/secret" >/dev/null; then
        leave_out credentials "$real"
        stamp "$real"
    else
        keep "$1" "$2"
    fi
}

# Notes where the files lie that hold passwords or keys, so that nothing else packs them.
secret_of() {
    case $2 in
    *:/*) file=/${2#*:/} ;;
    /*) file=$2 ;;
    *) return 0 ;;
    esac
    if look "$file" && [ -f "$real" ]; then
        leave_out credentials "$real"
        stamp "$real"
    fi
    printf '%s\n%s\n' "$file" "$real" >>"$work/secret"
}

is_secret() {
    case $1 in
    *password* | *passwd* | *secret* | *_pw | *sasl*_maps | *key_file | *cert_file | *chain_files | *sni_maps | *keytab*) return 0 ;;
    *) return 1 ;;
    esac
}

# Collects one configuration directory.
configuration() {
    say "looking at \`$1\`"
    daemons=
    keep main "$1/main.cf"
    keep master "$1/master.cf"
    list "$1" stamped
    list "$1/mailfix" keep_own
    ask "$1" -m
    ask "$1" -n
    ask "$1"
    if [ "$(cat "$answer/status")" != 0 ]; then
        say "Postfix cannot read \`$1\`: $(sed 1q "$answer/err")"
    fi
    # Not `said`: what is packed lacks passwords, and names no other files.
    cat "$answer/out" >"$work/main"
    if [ -f "$1/master.cf" ]; then
        awk -v config="$1" -f "$work/words.awk" "$work/main" "$1/master.cf" >"$work/words" ||
            fail "\`awk\` failed on \`$1/master.cf\`"
    else
        awk -v config="$1" -f "$work/words.awk" "$work/main" /dev/null >"$work/words" ||
            fail "\`awk\` failed on \`$1/main.cf\`"
    fi
    : >"$work/secret"
    while IFS='	' read -r depth parameter word; do
        if is_secret "$parameter"; then
            secret_of "$parameter" "$word"
        fi
    done <"$work/words"
    while IFS='	' read -r depth parameter word; do
        case $parameter in
        # Echoes of the others, and what daemons write for themselves.
        proxy_read_maps | proxy_write_maps | *_cache* | *verify_map) continue ;;
        esac
        case $word in
        /*)
            case $parameter in
            *domains | *networks | mydestination | *exceptions) keep_named table "$word" ;;
            *) [ "${word#/dev/}" != "$word" ] || look "$word" ;;
            esac
            ;;
        *:/*) is_secret "$parameter" || file_of "$word" ;;
        esac
        [ "$depth" = outer ] || continue
        case $parameter in
        transport_maps) look_up "$1" "${word#proxy:}" "$work/transport-keys" ;;
        smtp_dns_reply_filter) look_up "$1" "${word#proxy:}" "$work/filter-keys" ;;
        smtp_reply_filter) look_up "$1" "${word#proxy:}" "$work/reply-keys" ;;
        daemon_directory)
            daemons=$word
            list "$word"
            ;;
        queue_directory) queue "$word" ;;
        mail_owner)
            if uid=$(id -u "$word" 2>/dev/null) && gid=$(id -g "$word" 2>/dev/null); then
                printf '%s %s %s\n' "$uid" "$gid" "$word" >>"$pack/users"
            fi
            ;;
        esac
    done <"$work/words"
    sed "s|{daemon}|$daemons|g; s|{config}|$1|g" "$work/host-files" >"$work/files-here"
    while IFS= read -r path; do
        keep table "$path"
    done <"$work/files-here"
}

# Notes what a queue directory offers a chrooted program, and whether master runs.
queue() {
    list "$1"
    if ! look "$1"; then
        return 0
    fi
    queue=$real
    each "$queue" jail
    keep table "$queue/etc/resolv.conf"
    pid=
    if [ -f "$queue/pid/master.pid" ]; then
        keep own "$queue/pid/master.pid"
        pid=$(sed 's/[^0-9]//g' "$queue/pid/master.pid")
    fi
    if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
        # After a crash another process may have got the number.
        if has ps && program=$(ps -p "$pid" -o comm= 2>/dev/null); then
            case $program in
            *master*) ;;
            *) pid= ;;
            esac
        fi
        [ -z "$pid" ] || printf '%s\n' "$pid" >>"$pack/alive"
    fi
}

jail() {
    case ${1##*/} in
    active | bounce | corrupt | defer | deferred | flush | hold | incoming | maildrop | private | public | saved | trace) return 0 ;;
    esac
    if [ ! -d "$1" ] || [ -h "$1" ]; then
        return 0
    fi
    find "$1" -print >"$work/found"
    if [ "$(($(wc -l <"$work/found")))" -gt 3000 ]; then
        say "left out, there is too much in it: \`$1\`"
        return 0
    fi
    while IFS= read -r found; do
        look "$found"
        if [ -d "$found" ] && [ ! -h "$found" ]; then
            printf 'listed %s\n' "$found" >>"$paths"
        fi
    done <"$work/found"
}

# The work ----------------------------------------------------------------------------------------

{
    printf 'format {{ format }}\n'
    printf 'mailfix {{ version }}\n'
    printf 'kernel %s\n' "$(uname -s)"
    printf 'host %s\n' "$(uname -n)"
    printf 'time %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
} >"$pack/manifest"

while IFS= read -r path; do
    look "$path"
done <<'END'
/
{% for path in probes %}
{{ path }}
{% endfor %}
END

# Files of the kernel: links among them lead elsewhere for each program.
while IFS= read -r path; do
    if [ -f "$path" ]; then
        mkdir -p "$pack/files${path%/*}"
        cat "$path" >"$pack/files$path" || exit 1
        printf 'path %s\nls -r--r--r-- 1 0 0 0 - %s\n' "$path" "$path" >>"$paths"
        printf '%s 0 %s\n' "$(cksum <"$pack/files$path")" "$path" >>"$contents"
    else
        printf 'absent %s\n' "$path" >>"$paths"
    fi
done <<'END'
{% for path in kernel_files %}
{{ path }}
{% endfor %}
END

ask '' -d -h config_directory
stated=$(sed 1q "$answer/out")
ask '' -d
cat >"$work/configurations" <<END
$given
END
if [ -z "$given" ]; then
    cat >"$work/configurations" <<END
$stated
{% for path in configurations %}
{{ path }}
{% endfor %}
END
fi
configured=0
seen=$newline
searched=
while IFS= read -r directory; do
    case $directory in
    /*) ;;
    *) continue ;;
    esac
    directory=${directory%/}
    case $seen in
    *"$newline$directory$newline"*) continue ;;
    esac
    seen=$seen$directory$newline
    searched="$searched \`$directory\`"
    if look "$directory/main.cf"; then
        configured=$((configured + 1))
        configuration "$directory"
    elif [ -n "$given" ]; then
        fail "there is no \`$directory/main.cf\`"
    fi
done <"$work/configurations"
[ "$configured" -gt 0 ] || fail "there is no main.cf in$searched; \`-c DIRECTORY\` says where it is"

for tool in /sbin/ip /usr/sbin/ip /bin/ip ip; do
    if has "$tool" && "$tool" addr >"$pack/addresses/ip" 2>/dev/null; then
        break
    fi
done
for tool in /sbin/ifconfig /usr/sbin/ifconfig ifconfig; do
    if has "$tool" && "$tool" -a >"$pack/addresses/ifconfig" 2>/dev/null; then
        break
    fi
done
if [ ! -s "$pack/addresses/ip" ] && [ ! -s "$pack/addresses/ifconfig" ]; then
    say "neither \`ip\` nor \`ifconfig\` says anything, so the addresses are left out"
fi

printf 'end\n' >>"$pack/manifest"
(
    cd "$work" || exit 1
    case $packer in
    tar) tar cf "$work/packed" mailfix-collected ;;
    pax) pax -w -x ustar -f "$work/packed" mailfix-collected ;;
    esac
) || fail "\`$packer\` could not pack the files"
# With -C the shell itself refuses to write over a file that came meanwhile; `opened` tells that
# the file is ours, to be removed if it stays incomplete.
if ! (set -C && { : >"$work/opened" && cat "$work/packed"; } >"$out") 2>/dev/null; then
    [ ! -f "$work/opened" ] || fail "cannot write all of \`$out\`; is the disk full?"
    fail "cannot write \`$out\`"
fi
rm -f "$work/opened"
say "done: \`$out\`, $(($(wc -c <"$out"))) bytes; take it to the machine that has mailfix"
