#!/bin/sh
{% if undo %}
# Takes back what `apply.sh` did to the Postfix of {{ host }}, byte for byte. Run it as root there.
{% else %}
# Changes the Postfix of {{ host }} as `changes.diff` shows. Run it as root there: `sh apply.sh`.
{% endif %}
# Written by mailfix {{ version }} from what was collected there at {{ collected }}.
#
# It needs Postfix's own programs and a POSIX shell.
{% if undo %}
# The files as they were lie in the directory named below; nothing is touched that was changed
# by somebody else since.
{% else %}
# If any file is no longer as it was collected, nothing is written. If any step fails, all files
# are brought back at once. `sh undo.sh` brings them back later.
{% endif %}

set -f
umask 077
LC_ALL=C
export LC_ALL
config={{ config }}
{% if not undo %}
state={{ state }}
{% endif %}
# Copies of the files as they were.
kept={{ kept }}
{% if not undo %}
here=.
case $0 in
*/*) here=${0%/*} ;;
esac
here=$(cd "$here" && pwd) || exit 1
{% endif %}

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "error: $*"
    exit 1
}

# What is changed -----------------------------------------------------------------------------

files='{{ files|map(attribute="number")|join(" ") }}'

# Sets what is known of one change of a file. `before` is what cksum says, or `absent`; where
# an earlier change is of the same file, what that one leaves.
facts() {
{% if not undo %}
    mode=
    owner=
    new=
{% endif %}
    case $1 in
{% for file in files %}
    {{ file.number }})
        kind={{ file.kind }}
        path={{ file.path }}
        real={{ file.real }}
        staged={{ file.staged }}
        earlier='{{ file.earlier or "" }}'
        last={{ file.last }}
        before='{{ file.before }}'
        letters='{{ file.letters }}'
{% if file.new and not undo %}
        new={{ file.new }}
        carried='{{ file.carried }}'
        hidden={{ file.hidden }}
{% endif %}
{% if file.mode and not undo %}
        mode={{ file.mode }}
        owner={{ file.owner }}
{% endif %}
        ;;
{% endfor %}
    esac
    if [ -n "$earlier" ] && [ -f "$kept/after" ]; then
        before=$(after_of "$earlier")
    fi
}

# What a file is after a change, as it was noted when that was made.
after_of() {
    sed -n "s/^$1 //p" "$kept/after"
}

has() {
    type "$1" >/dev/null 2>&1
}

sum_of() {
    if [ -f "$1" ]; then
        cksum <"$1" | awk '{ print $1, $2 }'
    elif [ -e "$1" ] || [ -h "$1" ]; then
        echo other
    else
        echo absent
    fi
}

letters_of() {
    if [ -f "$1" ]; then
        ls -ldn "$1" | awk '{ print substr($1, 1, 10), $3, $4 }'
    fi
}

runs() {
    queue=$(postconf -c "$config" -h queue_directory 2>/dev/null)
    pid=
    if [ -f "$queue/pid/master.pid" ]; then
        pid=$(sed 's/[^0-9]//g' "$queue/pid/master.pid")
    fi
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 1
    # After a crash another process may have got the number.
    if has ps && program=$(ps -p "$pid" -o comm= 2>/dev/null); then
        case $program in
        *master*) ;;
        *) return 1 ;;
        esac
    fi
}

check() {
    say "  running \`postfix -c $config check\`"
    postfix -c "$config" check
}

reload() {
    if [ -z "$running" ]; then
        return 0
    fi
    say "  running \`postfix -c $config reload\`"
{% if not undo %}
    reloaded=yes
{% endif %}
    postfix -c "$config" reload || return 1
    # A master that cannot read its files dies of them.
    sleep 2
    if ! runs; then
        say "  Postfix has died of it"
        return 1
    fi
}

# Turns a change back, if it was made.
restore() {
    facts "$1"
    [ "$kind" != keep ] && [ -f "$kept/after" ] || return 0
    [ "$(sum_of "$real")" = "$(after_of "$1")" ] || return 0
    if [ "$(sum_of "$real")" = "$before" ] && [ "$(letters_of "$real")" = "${letters:-$(letters_of "$kept/$1")}" ]; then
        return 0
    fi
    if [ "$before" = absent ]; then
        rm -f "$real" || return 1
        say "  removed $path"
    else
        rm -f "$staged"
        cp -p "$kept/$1" "$staged" && mv -f "$staged" "$real" || return 1
        say "  brought back $path"
    fi
}

# Removes what was laid out, and the directories that were made if they are empty.
clear_away() {
    for number in $files; do
        facts "$number"
        rm -f "$staged"
    done
{% for directory in directories|reverse %}
    rmdir {{ directory.path }} 2>/dev/null
{% endfor %}
    return 0
}

# Makes a directory: `make PATH MODE OWNER`.
make() {
    mkdir "$1" && chmod "$2" "$1" && chown "$3" "$1"
}
{% if not undo %}

# Puts everything back, and has a Postfix that runs or ran read it.
restore_all() {
    failed=
{% for directory in abandoned %}
    [ -d {{ directory.path }} ] || make {{ directory.path }} {{ directory.mode }} {{ directory.owner }} || failed=yes
{% endfor %}
    for number in {{ backwards }}; do
        restore "$number" || failed=yes
    done
    clear_away
    for number in $files; do
        facts "$number"
        [ -n "$earlier" ] || [ "$(sum_of "$real")" = "$before" ] || failed=yes
    done
    if [ -n "$reloaded" ]; then
        if runs; then
            postfix -c "$config" reload || failed=yes
        elif [ -n "$running" ]; then
            postfix -c "$config" start || failed=yes
        fi
    fi
    [ -z "$failed" ]
}
{% endif %}

# Before anything -----------------------------------------------------------------------------

has postconf || PATH=$PATH:{{ programs }}
export PATH
for tool in awk cat chmod chown cksum cp id ls mkdir mv printf rm rmdir sed sleep tail postconf postmap postfix; do
    has "$tool" || fail "this machine lacks \`$tool\`"
done
[ "$(id -u)" = 0 ] || fail "only root may change Postfix: run it as root"
[ -f "$config/main.cf" ] || fail "there is no \`$config/main.cf\`: is this the machine that was collected?"
{% if not undo %}
reloaded=
{% endif %}
running=
if runs; then
    running=yes
fi
{% if undo %}
[ -d "$kept" ] || fail "nothing was applied here: there is no \`$kept\`"
[ ! -f "$kept/undone" ] || fail "it was taken back already"
[ -f "$kept/after" ] || fail "\`$kept\` is not complete: \`apply.sh\` was broken off before it changed anything"
# A file may stand as any of its changes leaves it: an apply can have been broken off.
foreign=
for number in $files; do
    facts "$number"
    if [ "$kind" = keep ] || [ "$last" = 0 ]; then
        continue
    fi
    file=$real
    now=$(sum_of "$file")
    known=
    for other in $files; do
        facts "$other"
        if [ "$real" = "$file" ]; then
            if [ "$now" = "$before" ] || [ "$now" = "$(after_of "$other")" ]; then
                known=yes
            fi
        fi
    done
    if [ -z "$known" ]; then
        say "changed since by somebody else: $file"
        foreign=yes
    fi
done
[ -z "$foreign" ] || fail "nothing was taken back; the old files are in \`$kept\`, to compare by hand"

# Taking it back --------------------------------------------------------------------------------

trap '' HUP INT PIPE TERM
step() {
    say "- $1"
}
stopped() {
    fail "this step failed; mend what it says and run this again, or copy the files from \`$kept\`"
}
{% for step in steps %}
step {{ step.title }}
{% for directory in step.abandoned %}
[ -d {{ directory.path }} ] || make {{ directory.path }} {{ directory.mode }} {{ directory.owner }} || stopped
{% endfor %}
{% for number in step.files %}
restore {{ number }} || stopped
{% endfor %}
{% if step.check %}
check || stopped
{% endif %}
{% if step.reload %}
reload || stopped
{% endif %}
{% endfor %}
clear_away
: >"$kept/undone"
say "done; every file is as it was"
{% else %}
if [ -f "$kept/applied" ] && [ ! -f "$kept/undone" ]; then
    for number in $files; do
        facts "$number"
        now=$(sum_of "$real")
        if [ "$kind" != keep ] && [ "$last" = 1 ] && [ "$now" != "$(after_of "$number")" ]; then
            fail "it was applied already, and $path was changed since; \`undo.sh\` is in \`$kept\`"
        fi
    done
    say "it was applied already; nothing was written"
    exit 0
fi
if [ -d "$kept" ] && [ ! -f "$kept/undone" ]; then
    [ ! -f "$kept/after" ] || fail "an earlier run was broken off: \`sh undo.sh\` first brings everything back"
    rm -rf "$kept"
fi
stale=
for number in $files; do
    facts "$number"
    if [ -n "$earlier" ]; then
        :
    elif [ "$(sum_of "$path")" != "$before" ] || [ "$(sum_of "$real")" != "$before" ]; then
        say "not as it was collected: $path"
        stale=yes
    elif [ "$(letters_of "$real")" != "$letters" ]; then
        say "mode or owner is not as it was collected: $path"
        stale=yes
    fi
    if [ -n "$new" ] && [ "$(sum_of "$here/$new")" != "$carried" ]; then
        say "damaged on its way, or missing: $here/$new"
        stale=yes
    fi
done
{% for directory in directories %}
if [ -e {{ directory.path }} ] || [ -h {{ directory.path }} ]; then
    say {{ directory.appeared }}
    stale=yes
fi
{% endfor %}
[ -z "$stale" ] || fail "nothing was written; collect again and plan anew"
check || fail "\`postfix check\` fails already, so nothing was written"

# From here on everything is brought back if anything fails ---------------------------------------

end() {
    status=$?
    trap '' HUP INT PIPE TERM
    trap - EXIT
    if [ "$status" != 0 ]; then
        say "- failed: bringing everything back"
        if restore_all; then
            rm -rf "$kept"
            directory=$state
            while [ "$directory" != "$top" ] && rmdir "$directory" 2>/dev/null; do
                directory=${directory%/*}
            done
            say "error: nothing was changed"
        else
            say "error: not everything could be brought back; the old files are in \`$kept\`"
            status=3
        fi
    fi
    exit "$status"
}
stop() {
    [ -z "$*" ] || say "error: $*"
    exit 1
}
# The nearest directory above that is there already.
top=$state
while [ -n "$top" ] && [ ! -d "$top" ]; do
    top=${top%/*}
done
rm -rf "$kept"
if ! (umask 022 && mkdir -p "${state%/*}") || ! mkdir -p "$kept"; then
    fail "cannot make \`$kept\`"
fi
trap end EXIT
trap 'say "interrupted"; exit 1' HUP INT PIPE TERM

say "- keeping what is there in $kept"
for number in $files; do
    facts "$number"
    if [ -z "$earlier" ] && [ "$before" != absent ]; then
        cp -p "$real" "$kept/$number" || stop "cannot copy $path"
        [ "$(sum_of "$kept/$number")" = "$before" ] || stop "the copy of $path is not the same"
    fi
done
[ ! -f "$here/undo.sh" ] || cp "$here/undo.sh" "$kept/undo.sh" || stop

say "- laying out what comes"
{% for directory in directories %}
make {{ directory.path }} {{ directory.mode }} {{ directory.owner }} || stop
{% endfor %}

# Lays a file out beside its place. Lines that were left out for their passwords come from the
# file that is there.
lay() {
    facts "$1"
    case $kind in
    index | remove) return 0 ;;
    esac
    rm -f "$staged"
    if [ ! -f "$real" ]; then
        : >"$staged" || return 1
    else
        # Mode, owner and access list go along.
        cp -p "$real" "$staged" || return 1
    fi
    if [ -n "$new" ] && [ "$hidden" = 1 ]; then
        final=1
        [ -z "$(tail -c 1 "$here/$new")" ] || final=0
        awk -v final="$final" '
            FNR == 1 { file++ }
            file == 1 { old[FNR] = $0; next }
            {
                line = $0
                if (match(line, /{{ left_out }}[0-9]+/)) {
                    number = substr(line, RSTART, RLENGTH)
                    sub(/^{{ left_out }}/, "", number)
                    line = old[number + 0]
                }
                if (FNR > 1) printf "\n"
                ORS = ""
                print line
            }
            END { if (final) printf "\n" }
        ' "$real" "$here/$new" >"$staged" || return 1
    elif [ -n "$new" ]; then
        cat "$here/$new" >"$staged" || return 1
    fi
    if [ -n "$mode" ]; then
        chmod "$mode" "$staged" && chown "$owner" "$staged" || return 1
    fi
}

# Asks a table that was laid out.
prove() {
    facts "$1"
    answer=$(postmap -c "$config" -q "$3" "$2:$staged")
    [ "$answer" = "$4" ] || stop "$path answers \`$answer\` for \`$3\`, not \`$4\`"
}

for number in $files; do
    lay "$number" || stop "cannot write $path"
    # What this change replaces, where that is another change's work.
    if [ -n "$earlier" ]; then
        facts "$earlier"
        cp -p "$staged" "$kept/$number" || stop "cannot copy $path"
    fi
done
{% for table in tables %}
facts {{ table.number }}
{% if table.indexed %}
say {{ table.says }}
postmap -c "$config" {{ table.kind }}:"$staged" || stop "\`postmap\` failed"
{% endif %}
{% for sample in table.samples %}
prove {{ table.number }} {{ table.kind }} {{ sample[0] }} {{ sample[1] }}
{% endfor %}
{% endfor %}

# What stands afterwards; with it a later run can tell its own work from others'.
for number in $files; do
    facts "$number"
    case $kind in
    remove) sum=absent ;;
    keep) sum=$before ;;
    index)
        sum=$before
        [ ! -f "$staged" ] || sum=$(sum_of "$staged")
        ;;
    *) sum=$(sum_of "$staged") ;;
    esac
    printf '%s %s\n' "$number" "$sum"
done >"$kept/after.new" || stop
mv -f "$kept/after.new" "$kept/after" || stop

put() {
    facts "$1"
    case $kind in
    remove) rm -f "$real" || return 1 ;;
    keep)
        rm -f "$staged"
        return 0
        ;;
    *)
        [ -f "$staged" ] || [ "$kind" != index ] || return 0
        mv -f "$staged" "$real" || return 1
        ;;
    esac
    [ "$(sum_of "$path")" = "$(after_of "$1")" ] || return 1
    say "  wrote $path"
}

step() {
    say "- $1"
}
{% for step in steps %}

step {{ step.title }}
{% for number in step.files %}
put {{ number }} || stop "cannot put $path in place"
{% endfor %}
{% for directory in step.abandoned %}
rmdir {{ directory.path }} 2>/dev/null
{% endfor %}
{% if step.check %}
check || stop "Postfix does not accept it"
{% endif %}
{% if step.reload %}
reload || stop "Postfix does not take it up"
{% endif %}
{% endfor %}

: >"$kept/applied" || stop
trap '' HUP INT PIPE TERM
trap - EXIT
{% if restart %}
say "left to do: \`{{ restart }}\` is only taken up by \`postfix stop\` and \`postfix start\`"
{% endif %}
[ -n "$running" ] || say "note: Postfix does not run; it reads the files when it is started"
say "done; \`sh undo.sh\` takes it back (a copy is in $kept)"
{% endif %}
