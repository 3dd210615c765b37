# TSM's hook for zsh, as `tsm init zsh` prints it: put `eval "$(tsm init zsh)"` into ~/.zshrc.
#
# The function `tsm` hands `start` and `restart --update-env` what only this shell knows, for services that are zsh
# scripts. At the prompt nothing is done. All names begin with `_tsm`, but for `tsm` itself.

function tsm {
    if [[ ! -x @TSM@ ]]; then
        \command tsm "$@"
        return
    fi
    case "${1-}:${(j: :)${(@qq)@}} " in
    start:* | restart:*"'--update-env' "* | -*:*"'start' "* | -*:*"'--update-env' "*)
        # In a process of its own, so that what a trap of yours prints does not get among the state.
        (
            _tsm_builtin=${functions[builtin]-}
            if (( ${+functions[builtin]} )); then
                \unset 'functions[builtin]'
            fi
            \builtin trap - DEBUG ZERR EXIT
            @TSM@ --shell-state <({ _tsm_state; } 3>&1 > /dev/null 2>&1) "$@"
        ) ;;
    *)
        @TSM@ "$@" ;;
    esac
}

# Prints the parts of this shell's state to descriptor 3, each as its name and its text with a NUL behind both. What zsh
# sets by itself and what begins with `_tsm` is left out; of its own parameters `fpath` is kept, which finds functions. Of
# what is exported only the attributes count. Traps stay in this shell, and so do functions that are traps.
function _tsm_state {
    \builtin emulate -L zsh
    \builtin unsetopt xtrace err_exit no_unset
    \builtin zmodload zsh/parameter
    \builtin unfunction tsm _tsm_state _tsm_complete
    \builtin local _tsm_name _tsm_kind
    \builtin local -a _tsm_names _tsm_hidden _tsm_unaliased _tsm_unreadable
    for _tsm_name in "${signals[@]}" ERR ZERR DEBUG; do
        if (( ${+functions[TRAP$_tsm_name]} )); then
            \builtin unfunction "TRAP$_tsm_name"
        fi
    done
    for _tsm_name _tsm_kind in "${(@kv)parameters}"; do
        case $_tsm_kind in
        *special* | *local*) ;;
        *)
            case $_tsm_name in
            CPUTYPE | HOST | MACHTYPE | OSTYPE | TTY | VENDOR | ZSH_* | signals) ;;
            _tsm_* | TSM_ZDOTDIR | TSM_ZSH_STATE | _ | '*' | '@' | '#' | '?' | '-' | '$' | '!' | [0-9]*) ;;
            *)
                _tsm_names+=("$_tsm_name")
                if [[ $_tsm_kind == *hideval* ]]; then
                    _tsm_hidden+=("$_tsm_name")
                    \builtin typeset -g +H -- "$_tsm_name"
                fi ;;
            esac ;;
        esac
    done
    # With RC_QUOTES zsh prints 'don''t' as 'don't', which nothing reads: one such function would take the others with it.
    for _tsm_name _tsm_kind in "${(@kv)functions}"; do
        [[ $_tsm_kind == *\'* ]] || continue
        \builtin unset 'functions[_tsm_probe]'
        functions[_tsm_probe]=$_tsm_kind 2> /dev/null
        if (( ! ${+functions[_tsm_probe]} )); then
            _tsm_unreadable+=("$_tsm_name")
            \builtin unfunction -- "$_tsm_name"
        fi
    done
    \builtin unset 'functions[_tsm_probe]'
    # Those that a new zsh has by itself, and this one no more: they would stand before functions of their names.
    for _tsm_name in run-help which-command; do
        (( ${+aliases[$_tsm_name]} )) || _tsm_unaliased+=("$_tsm_name")
    done
    {
        \builtin printf '%s\0' shell "zsh $ZSH_VERSION" hidden "${(F)_tsm_hidden}"
        \builtin printf '%s\0' unaliased "${(F)_tsm_unaliased}" unreadable "${(F)_tsm_unreadable}"
        \builtin printf 'fpath\0%s\0' "fpath=( ${(j: :)${(@qq)fpath}} )"
        \builtin printf 'variables\0'
        (( ${#_tsm_names} )) && \builtin typeset -p -- "${(@o)_tsm_names}"
        \builtin printf '\0functions\0'
        \builtin functions
        if [[ -n $_tsm_builtin ]]; then
            \builtin printf 'builtin () {\n%s\n}\n' "$_tsm_builtin"
        fi
        \builtin printf '\0function-count\0%s' "$(( ${#functions} + ${#${_tsm_builtin:+1}} ))"
        \builtin printf '\0end\0\0'
    } >&3
}
