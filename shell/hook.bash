# TSM's hook for bash, as `tsm init bash` prints it: put `eval "$(tsm init bash)"` into ~/.bashrc.
#
# The function `tsm` hands `start` and `restart --update-env` what only this shell knows. At the prompt nothing is done.
# All names begin with `_tsm`, but for `tsm` itself. Commands bear a backslash, so that no alias of yours changes them.

function tsm {
    if [[ $- == *r* || ! -x @TSM@ ]]; then
        \command tsm "$@"
    else
        case ${1-}:${*@Q} in
        start:* | restart:*"'--update-env'"* | -*:*"'start'"* | -*:*"'--update-env'"*)
            \_tsm_start "$SHELLOPTS" "$BASHOPTS" "$@" ;;
        *)
            @TSM@ "$@" ;;
        esac
    fi
}

# The parentheses keep `$!` as it was. The state goes to a descriptor that nobody else knows: what a trap of yours prints
# does not get among it.
function _tsm_start {
    (@TSM@ --shell-state <({ \_tsm_state "$1" "$2"; } {_tsm_fd}>&1 > /dev/null 2>&1) "${@:3}")
}

# Prints the parts of this shell's state, each as its name and its text with a NUL behind both. It runs in a process of its
# own: nothing that it sets or unsets is seen outside.
function _tsm_state {
    # In POSIX mode these are the shell's own even where a function has that name. Then `builtin` can be had.
    POSIXLY_CORRECT=1
    \trap - DEBUG RETURN ERR EXIT
    \set +aefknuvxET
    # Only of a function does this succeed.
    if \export -f builtin 2> /dev/null; then
        (
            \unset -f declare printf
            {
                \printf 'builtin\0'
                \declare -f builtin
                \printf '\0'
            } >&"$_tsm_fd"
        )
    fi
    \unset -f builtin
    \set +o posix
    \builtin unset -f tsm _tsm_start _tsm_state _tsm_complete
    {
        \builtin printf '%s\0' shell "bash $BASH_VERSION" set "$1" shopt "$2"
        \builtin printf 'options\0'
        \builtin shopt -p
        \builtin printf '\0attributes\0'
        \builtin declare -F
        \builtin printf '\0functions\0'
        \builtin declare -f
        \builtin printf '\0variables\0'
        \builtin declare -p
        \builtin printf '\0aliases\0'
        \builtin alias -p
        \builtin printf '\0end\0\0'
    } >&"$_tsm_fd"
}
