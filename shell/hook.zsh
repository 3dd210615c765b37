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
        @TSM@ --shell-state <(_tsm_state 2> /dev/null) "$@" ;;
    *)
        @TSM@ "$@" ;;
    esac
}

# Prints the parts of this shell's state, each as its name and its text with a NUL behind both. What zsh sets by itself,
# what is exported and what begins with `_tsm` is left out; of its own parameters `fpath` is kept, which finds functions.
function _tsm_state {
    if (( ${+functions[builtin]} )); then
        \unset 'functions[builtin]'
    fi
    \builtin emulate -L zsh
    \builtin unsetopt xtrace err_exit no_unset
    \builtin zmodload zsh/parameter
    \builtin unfunction tsm _tsm_state _tsm_complete
    \builtin local _tsm_name _tsm_kind
    \builtin local -a _tsm_names
    for _tsm_name _tsm_kind in "${(@kv)parameters}"; do
        case $_tsm_kind in
        *special* | *export* | *local* | *hideval*) ;;
        *)
            case $_tsm_name in
            CPUTYPE | HOST | MACHTYPE | OSTYPE | TTY | VENDOR | ZSH_* | signals) ;;
            _tsm_* | TSM_ZDOTDIR | TSM_ZSH_STATE | _ | '*' | '@' | '#' | '?' | '-' | '$' | '!' | [0-9]*) ;;
            *) _tsm_names+=("$_tsm_name") ;;
            esac ;;
        esac
    done
    \builtin printf '%s\0' shell "zsh $ZSH_VERSION" function-count "${#functions}" variable-count "${#_tsm_names}"
    \builtin printf 'variables\0%s\n' "fpath=( ${(j: :)${(@qq)fpath}} )"
    (( ${#_tsm_names} )) && \builtin typeset -p -- "${(@o)_tsm_names}"
    \builtin printf '\0functions\0'
    \builtin functions
    \builtin printf '\0end\0\0'
}
