# What zsh reads first in a service that was started from a zsh: ZDOTDIR comes back, then your own .zshenv is read as it
# would have been, then what your shell knew. TSM writes this file.
if [[ ${TSM_ZDOTDIR-} == '='* ]]; then
    \builtin export ZDOTDIR="${TSM_ZDOTDIR[2,-1]}"
else
    \builtin unset ZDOTDIR
fi
\builtin unset TSM_ZDOTDIR
if [[ -f ${ZDOTDIR:-$HOME}/.zshenv ]]; then
    \builtin source "${ZDOTDIR:-$HOME}/.zshenv"
fi
() {
    \builtin unset TSM_ZSH_STATE
    if [[ -f $1 ]]; then
        \builtin source "$1"
    fi
} "${TSM_ZSH_STATE-}"
