
# What follows are the completions.
function _tsm_complete {
    \builtin local line
    \builtin local -a found
    for line in "${(@f)$(@TSM@ __complete -- "${(@)words[2,CURRENT]}" 2> /dev/null)}"; do
        [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( ${#found} )); then
        _describe tsm found
    else
        _files
    fi
}
if (( ${+functions[compdef]} )); then
    compdef _tsm_complete tsm
fi
