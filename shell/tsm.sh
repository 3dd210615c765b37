# TSM for Tetra, to be loaded with `tmod load tsm`, and for any bash or zsh that sources it: the shell hook and the
# completions of the `tsm` on PATH. Where none is there, nothing is defined, and the status says so.
if command -v tsm > /dev/null 2>&1; then
    if [ -n "${ZSH_VERSION-}" ]; then
        eval "$(command tsm init zsh)"
    elif [ -n "${BASH_VERSION-}" ]; then
        eval "$(command tsm init bash)"
    fi
else
    echo "tsm: it is not on PATH; install it with 'cargo install --path tsm-cli'" >&2
    false
fi
