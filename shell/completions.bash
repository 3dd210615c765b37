
# What follows are the completions.
function _tsm_complete {
    \builtin local line="${COMP_LINE:0:COMP_POINT}" word before words IFS=$' \t\n'
    \builtin read -r -a words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    word=${words[${#words[@]} - 1]}
    # Readline keeps what stands before the last of its own word breaks.
    before=${word%"${word##*[@:=]}"}
    while [[ -n $before && ${COMP_WORDBREAKS-} != *"${before: -1}"* ]]; do
        before=${before%?}
        before=${before%"${before##*[@:=]}"}
    done
    COMPREPLY=()
    while IFS=$'\t' \builtin read -r line _; do
        COMPREPLY+=("${line#"$before"}")
    done < <(@TSM@ __complete -- "${words[@]:1}" 2> /dev/null)
}
if \builtin type complete > /dev/null 2>&1; then
    \builtin complete -o default -F _tsm_complete tsm
fi
