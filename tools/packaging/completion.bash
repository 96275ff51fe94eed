# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Completes the command line of vmferry in bash: commands and options as --help tells them, files, and, where Ceph and libvirt
# answer within a moment, pools, volumes and domains.

# A colon ends a word for readline, so what is before the last one of $cur must not be in an answer.
_vmferry_known() {
    [[ $cur != *:* || $COMP_WORDBREAKS != *:* ]] || printf %s "${cur%"${cur##*:}"}"
}

# Offers what begins with $cur of the lines on standard input, each a word of its own: names of others are not looked into, as
# compgen -W would.
_vmferry_offer() {
    local word known
    known=$(_vmferry_known)
    while read -r word; do
        [[ -z $word || $word != "$cur"* ]] || COMPREPLY+=("$(printf %q "${word#"$known"}")")
    done
}

# -f or -d.
_vmferry_files() {
    local known
    known=$(_vmferry_known)
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
    COMPREPLY=("${COMPREPLY[@]#"$known"}")
}

# A cluster that is away is not waited for.
_vmferry_pools() {
    timeout 2 rados lspools 2>/dev/null
}

_vmferry_volumes() {
    local place=${cur#rbd:} pool
    pool=${place%%/*}
    if [[ $place != */* ]]; then
        compopt -o nospace 2>/dev/null
        _vmferry_offer < <(_vmferry_pools | sed 's,^\(.*\)$,rbd:\1/,')
    else
        _vmferry_offer < <(timeout 2 rbd ls -- "$pool" 2>/dev/null | while read -r name; do echo "rbd:$pool/$name"; done)
    fi
}

_vmferry_domains() {
    _vmferry_offer < <(timeout 2 virsh -q list --all --name 2>/dev/null)
}

_vmferry_place() {
    case $cur in
        rbd:*) _vmferry_volumes ;;
        *) _vmferry_files -f ;;
    esac
}

# The value of an option, which $1 is the line of in --help: "  --mode MODE:{auto,live}".
_vmferry_value() {
    case $1 in
        *":{"*"}"*)
            local values=${1#*:\{}
            _vmferry_offer < <(tr , '\n' <<<"${values%%\}*}")
            ;;
        *' DIR'*) _vmferry_files -d ;;
        *' FILE'* | *' PREFIX'*) _vmferry_files -f ;;
        *' SNAPSHOT'*) _vmferry_place ;;
        *' POOL'*) _vmferry_offer < <(_vmferry_pools) ;;
    esac
}

# The commands and options of a --help that has commands.
_vmferry_commands() {
    _vmferry_offer < <(sed -nE '/^Subcommands:/,$s/^  ([a-z]+) .*/\1/p; s/^  .*(--[a-z]+) .*/\1/p' <<<"$1")
}

_vmferry() {
    local program=$1 line=${COMP_LINE:0:COMP_POINT} words cur previous help option
    # What is quoted is left to the person: half of a name would become another one.
    [[ $line != *[\\\'\"]* ]] || return 0
    read -ra words <<<"$line"
    cur=""
    [[ $line == *[[:space:]] ]] || cur=${words[-1]}
    [[ -z $cur ]] || unset "words[-1]"
    COMPREPLY=()
    if ((${#words[@]} < 2)); then
        _vmferry_commands "$("$program" --help 2>/dev/null)"
        return
    fi
    previous=${words[-1]}
    help=$("$program" "${words[1]}" --help 2>/dev/null) || return 0
    if [[ $help == *$'\n'Subcommands:* ]]; then
        if ((${#words[@]} < 3)); then
            _vmferry_commands "$help"
            return
        fi
        help=$("$program" "${words[1]}" "${words[2]}" --help 2>/dev/null) || return 0
    fi
    if [[ $previous =~ ^--?[a-zA-Z-]+$ ]]; then
        option=$(grep -E -- "^ +(-[a-zA-Z],)?$previous([, ]|$)" <<<"$help")
        # What takes a value has the value's name, in capitals, beside its own.
        if [[ $option =~ ^\ +(-[a-zA-Z],)?--[a-z-]+\ [A-Z] ]]; then
            _vmferry_value "$option"
            return
        fi
    fi
    case $cur,${words[1]} in
        -*,*) _vmferry_offer < <(sed -nE 's/^ +(-[a-zA-Z],)?(--[a-z-]+).*/\2/p' <<<"$help") ;;
        *,migrate | *,sync | *,cutover | *,rehearse) _vmferry_domains ;;
        *) _vmferry_place ;;
    esac
}

complete -F _vmferry vmferry
