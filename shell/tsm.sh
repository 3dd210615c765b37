# TSM for Tetra: `tmod load tsm` loads this file (put it into $TETRA_BASH/tsm, or register its directory with
# `tetra_register_module tsm DIR`). Any bash or zsh may source it too: it loads the hook of the `tsm` that is on PATH.
if [ -n "${ZSH_VERSION-}" ]; then
    _tsm_hook=$(command tsm init zsh 2> /dev/null) || :
else
    _tsm_hook=$(command tsm init bash 2> /dev/null) || :
fi
if [ -n "$_tsm_hook" ]; then
    eval "$_tsm_hook"
    unset _tsm_hook
else
    # Tetra's stub would load this file again and again.
    unset _tsm_hook
    unset -f tsm 2> /dev/null || :
    echo "tsm: there is no tsm on PATH; install it with 'cargo install --path tsm-cli'" >&2
    false
fi
